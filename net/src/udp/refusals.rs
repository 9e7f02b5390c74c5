//! Destinations for which the kernel does not cut messages into datagrams, or whose path takes them
//! only in fragments.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// Maximum number of destinations; a newer one replaces an older one.
const CAPACITY: usize = 64;

/// How long a refusal to cut is remembered. A route changes seldom, and another attempt costs one
/// failed system call.
pub(super) const UNCUT: Duration = Duration::from_secs(10);
/// How long a narrow path is remembered: as long as the kernel remembers a path's MTU
/// (`net.ipv4.route.mtu_expires`).
pub(super) const NARROW: Duration = Duration::from_secs(600);

/// Recent refusals, by destination, each with the minimum length of datagrams that were refused.
///
/// A datagram longer than the path's MTU cannot be cut off a message (it would have to be
/// fragmented), and some devices and tunnels cut nothing. On a path whose MTU is below 1,280 even a
/// small datagram must not leave with DF set.
pub(super) struct Refusals {
    lifetime: Duration,
    entries: Box<[Refusal; CAPACITY]>,
    hashes: RandomState,
    /// When the last of them ends: usually in the past.
    until: Duration,
}

#[derive(Clone, Copy)]
struct Refusal {
    to: IpAddr,
    shortest: usize,
    until: Duration,
}

impl Refusals {
    pub(super) fn new(lifetime: Duration) -> Self {
        let none = Refusal {
            to: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            shortest: 0,
            until: Duration::ZERO,
        };
        Self {
            lifetime,
            entries: Box::new([none; CAPACITY]),
            hashes: RandomState::new(),
            until: Duration::ZERO,
        }
    }

    /// Whether datagrams of `len` bytes to `to` were refused lately.
    pub(super) fn includes(&self, now: Duration, to: IpAddr, len: usize) -> bool {
        if now >= self.until {
            return false;
        }
        let entry = &self.entries[self.index(to)];
        entry.to == to && now < entry.until && len >= entry.shortest
    }

    /// Remembers that datagrams of `len` bytes to `to` were refused.
    pub(super) fn note(&mut self, now: Duration, to: IpAddr, len: usize) {
        let index = self.index(to);
        let entry = &mut self.entries[index];
        let known = entry.to == to && now < entry.until;
        let shortest = if known { entry.shortest.min(len) } else { len };
        self.until = now + self.lifetime;
        *entry = Refusal { to, shortest, until: self.until };
    }

    fn index(&self, to: IpAddr) -> usize {
        self.hashes.hash_one(to) as usize % CAPACITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_one_destination_and_a_length_and_ends() {
        let mut refusals = Refusals::new(UNCUT);
        let (one, other): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let now = Duration::from_secs(5);
        assert!(!refusals.includes(now, one, 1_400));
        refusals.note(now, one, 1_400);
        assert!(refusals.includes(now, one, 1_400));
        assert!(!refusals.includes(now, one, 1_399), "shorter ones were not refused");
        assert!(!refusals.includes(now, other, 1_400));
        refusals.note(now, one, 1_200);
        assert!(refusals.includes(now, one, 1_200));
        assert!(!refusals.includes(now + UNCUT, one, 1_400));
    }

    #[test]
    fn any_number_of_destinations_takes_the_same_room() {
        let mut refusals = Refusals::new(UNCUT);
        for number in 0..10_000u32 {
            refusals.note(Duration::ZERO, IpAddr::V4(number.into()), 1_400);
        }
        let held = (0..10_000u32)
            .filter(|number| refusals.includes(Duration::ZERO, IpAddr::V4((*number).into()), 1_400))
            .count();
        assert!((1..=CAPACITY).contains(&held), "{held}");
    }
}
