//! What the ring reports, and the names by which it does.

use io_uring::cqueue;

use super::buffers::BufferId;
use crate::event_loop::SocketKey;
use crate::slots::Key;

/// What a request was for: the 64 bits that come back with its completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// The receive of a socket. The key's generation tells it from that of a later socket in the
    /// same place.
    Receive(SocketKey),
    /// The watch on the epoll instance.
    Watch,
    /// The message of this position in the outbox.
    Send(usize),
    /// The end of a socket's receive.
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
            1 => Self::Receive(Key::from_bits(bits)),
            2 => Self::Watch,
            3 => Self::Send((bits & u64::from(u32::MAX)) as usize),
            _ => Self::Cancel(Key::from_bits(bits)),
        }
    }
}

/// How a receive ended that is to be armed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// There was no buffer left, or no room to report. What waits in the socket's queue stays
    /// there.
    Exhausted,
    /// It was cancelled.
    Cancelled,
    /// It took the error that was pending on the socket, as ICMP leaves one (row H38); no datagram
    /// was lost.
    Failed(i32),
}

/// What the loop has to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completion {
    /// A socket's receive brought something, or ended, or both.
    Receive { socket: SocketKey, buffer: Option<BufferId>, last: Option<Last> },
    /// The epoll instance has events; the watch is over.
    Watch,
}

impl Completion {
    /// `None`: what nobody waits for.
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
        let key = Key::from_bits(0x0abc_def0_1234_5678);
        for token in [Token::Receive(key), Token::Watch, Token::Send(127), Token::Cancel(key)] {
            assert_eq!(Token::from_bits(token.to_bits()), token);
        }
    }
}
