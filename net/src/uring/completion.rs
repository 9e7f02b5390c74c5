//! Completions, and the tokens that tell which request each belongs to.

use io_uring::cqueue;

use super::buffers::BufferId;
use crate::keys::SocketKey;

/// The purpose of a request, in the 64 bits that come back with its completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// The receive of a socket. The key's generation tells it from that of a later socket with the
    /// same index.
    Receive(SocketKey),
    /// The poll of the epoll instance.
    Watch,
    /// The send of the message at this position in the outbox.
    Send(usize),
    /// The cancellation of a socket's receive.
    Cancel(SocketKey),
}

impl Token {
    pub(super) fn to_bits(self) -> u64 {
        match self {
            Self::Receive(key) => 1 << 60 | key.to_bits(),
            Self::Watch => 2 << 60,
            Self::Send(position) => 3 << 60 | position as u64,
            Self::Cancel(key) => 4 << 60 | key.to_bits(),
        }
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        match bits >> 60 {
            1 => Self::Receive(SocketKey::from_bits(bits)),
            2 => Self::Watch,
            3 => Self::Send((bits & u64::from(u32::MAX)) as usize),
            _ => Self::Cancel(SocketKey::from_bits(bits)),
        }
    }
}

/// Why a receive ended. It is to be armed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// No buffer was free, or no room for a completion. What waits in the socket's queue stays
    /// there.
    Exhausted,
    /// The loop has cancelled it.
    Cancelled,
    /// It took this error, which was pending on the socket, as ICMP leaves one (row H38); no
    /// datagram was lost.
    Failed(i32),
}

/// A completion that the loop serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completion {
    /// A socket's receive filled a buffer, or ended, or both.
    Receive { socket: SocketKey, buffer: Option<BufferId>, last: Option<Last> },
    /// The epoll instance has events, and its poll has ended.
    Watch,
}

impl Completion {
    /// `None`: the completion is only booked by the ring.
    pub(super) fn of(entry: &cqueue::Entry) -> Option<Self> {
        match Token::from_bits(entry.user_data()) {
            Token::Receive(socket) => {
                let flags = entry.flags();
                let last = (!cqueue::more(flags)).then(|| match -entry.result() {
                    libc::ECANCELED => Last::Cancelled,
                    ..=0 | libc::ENOBUFS | libc::EAGAIN | libc::ENOMEM => Last::Exhausted,
                    error => Last::Failed(error),
                });
                Some(Self::Receive {
                    socket,
                    buffer: cqueue::buffer_select(flags).map(BufferId),
                    last,
                })
            }
            Token::Watch => Some(Self::Watch),
            Token::Send(_) | Token::Cancel(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_were() {
        let key = SocketKey::from_bits(0x0abc_def0_1234_5678);
        for token in [Token::Receive(key), Token::Watch, Token::Send(127), Token::Cancel(key)] {
            assert_eq!(Token::from_bits(token.to_bits()), token);
        }
    }
}
