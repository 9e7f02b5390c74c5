//! How many messages to ask a socket for in one receive.

use crate::packet::SLOTS;

/// Maximum number of messages of a relayed socket in one turn.
const LARGEST: u8 = 16;
/// Maximum number of datagrams that a listener, and a relayed socket, should bring in one turn: a
/// message may hold dozens.
const LISTENER_DATAGRAMS: usize = 4 * SLOTS;
const RELAYED_DATAGRAMS: usize = SLOTS;
/// Full receives in a row after which more than one datagram is probably waiting; and the maximum,
/// where that was often wrong.
const STREAK: u8 = 16;
const LONGEST_STREAK: u8 = 128;

/// The limit of one socket.
///
/// A listener takes what the slots hold. A relayed socket usually has one datagram waiting: asking
/// for one is the cheapest system call, and asking for more costs an empty look each time. Its
/// limit doubles while it keeps reaching it, as a stream of video does. One datagram after the
/// other reaches a limit of one, too: where a second look found nothing, the next comes after twice
/// as many receives.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReceiveLimit {
    wanted: u8,
    fixed: bool,
    full: u8,
    /// How many full receives in a row double the limit.
    streak: u8,
    /// Datagrams in each message of the last receive; at least 1.
    density: u8,
}

impl ReceiveLimit {
    pub(super) fn listener() -> Self {
        Self { wanted: SLOTS as u8, fixed: true, full: 0, streak: STREAK, density: 1 }
    }

    pub(super) fn relayed() -> Self {
        Self { wanted: 1, fixed: false, full: 0, streak: STREAK, density: 1 }
    }

    /// Whether the socket is a listener's.
    pub(super) fn is_listener(self) -> bool {
        self.fixed
    }

    /// How many messages to ask for.
    pub(super) fn wanted(self) -> usize {
        let datagrams = if self.fixed { LISTENER_DATAGRAMS } else { RELAYED_DATAGRAMS };
        usize::from(self.wanted).min(datagrams / usize::from(self.density)).max(1)
    }

    /// Whether the last receive got all that it asked for: there may be more.
    pub(super) fn is_busy(self) -> bool {
        self.full > 0
    }

    /// Learns from a receive that asked for `limit` messages and got `count`, with `datagrams` in
    /// them.
    pub(super) fn note(&mut self, limit: usize, count: usize, datagrams: usize) {
        self.density = u8::try_from(datagrams / count.max(1)).unwrap_or(u8::MAX).max(1);
        if count < limit {
            self.full = 0;
            if !self.fixed {
                if self.wanted == 2 {
                    self.streak = self.streak.saturating_mul(2).min(LONGEST_STREAK);
                }
                self.wanted = 1;
            }
            return;
        }
        if self.wanted > 1 {
            self.streak = STREAK;
        }
        self.full = (self.full + 1).min(self.streak);
        if !self.fixed && self.full == self.streak && self.wanted < LARGEST {
            self.wanted *= 2;
            self.full = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relayed_socket_s_limit_follows_its_load() {
        let mut share = ReceiveLimit::relayed();
        for _ in 0..STREAK {
            assert_eq!(share.wanted(), 1);
            share.note(1, 1, 1);
        }
        assert_eq!(share.wanted(), 2);
        for _ in 0..4 * STREAK {
            let limit = share.wanted();
            share.note(limit, limit, limit);
        }
        assert_eq!(share.wanted(), usize::from(LARGEST));
        share.note(16, 5, 5);
        assert_eq!(share.wanted(), 1);
    }

    #[test]
    fn empty_second_looks_become_rare_until_one_finds_something() {
        let mut share = ReceiveLimit::relayed();
        let receives = |share: &mut ReceiveLimit, in_vain: usize| {
            let (mut count, mut looks) = (0, 0);
            while looks < in_vain {
                let limit = share.wanted();
                share.note(limit, 1, 1);
                count += 1;
                looks += usize::from(limit > 1);
            }
            count
        };
        assert_eq!(receives(&mut share, 4), 16 + 32 + 64 + 128 + 4);
        assert_eq!(receives(&mut share, 10), 10 * (128 + 1));
        for _ in 0..128 {
            share.note(1, 1, 1);
        }
        assert_eq!(share.wanted(), 2);
        for _ in 0..STREAK {
            share.note(2, 2, 2);
        }
        assert_eq!(share.wanted(), 4, "what comes fast is soon taken in large receives again");
    }

    #[test]
    fn a_listener_is_busy_until_it_brings_less_than_it_may() {
        let mut share = ReceiveLimit::listener();
        assert!(!share.is_busy());
        share.note(64, 64, 64);
        assert!(share.is_busy());
        share.note(64, 63, 63);
        assert!(!share.is_busy());
        assert_eq!(share.wanted(), SLOTS);
    }

    #[test]
    fn messages_of_many_datagrams_are_fewer_in_a_turn() {
        let mut share = ReceiveLimit::listener();
        share.note(64, 64, 64 * 8);
        assert_eq!(share.wanted(), LISTENER_DATAGRAMS / 8);
        share.note(32, 32, 32 * 1_000);
        assert_eq!(share.wanted(), 1);
        share.note(1, 1, 1);
        assert_eq!(share.wanted(), SLOTS);
    }
}
