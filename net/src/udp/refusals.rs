//! Destinations that refuse a message: the kernel does not cut it into datagrams, or the path takes
//! it only in fragments.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// Maximum number of destinations; a newer one takes the place of an older one.
const PLACES: usize = 64;

/// How long a refusal to cut is remembered. A route changes seldom, and asking again costs one
/// failed system call.
pub(super) const UNCUT: Duration = Duration::from_secs(10);
/// How long a narrow path is remembered: as long as the kernel remembers a path's MTU
/// (`net.ipv4.route.mtu_expires`).
pub(super) const NARROW: Duration = Duration::from_secs(600);

/// What was refused lately: by destination, and from which length of a datagram on.
///
/// A datagram longer than the path's MTU cannot be cut off a message (it would have to be
/// fragmented), and some devices and tunnels cut nothing. On a path whose MTU is below 1,280 even a
/// small datagram must not leave with DF set.
pub(super) struct Refusals {
    lifetime: Duration,
    places: Box<[Refusal; PLACES]>,
    hashes: RandomState,
    /// When the last of them ends: usually long ago.
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
            places: Box::new([none; PLACES]),
            hashes: RandomState::new(),
            until: Duration::ZERO,
        }
    }

    /// Whether datagrams of `len` bytes to `to` were refused lately.
    pub(super) fn includes(&self, now: Duration, to: IpAddr, len: usize) -> bool {
        if now >= self.until {
            return false;
        }
        let place = &self.places[self.place(to)];
        place.to == to && now < place.until && len >= place.shortest
    }

    /// Remembers that datagrams of `len` bytes to `to` were refused.
    pub(super) fn note(&mut self, now: Duration, to: IpAddr, len: usize) {
        let index = self.place(to);
        let place = &mut self.places[index];
        let known = place.to == to && now < place.until;
        let shortest = if known { place.shortest.min(len) } else { len };
        self.until = now + self.lifetime;
        *place = Refusal { to, shortest, until: self.until };
    }

    fn place(&self, to: IpAddr) -> usize {
        self.hashes.hash_one(to) as usize % PLACES
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
        assert!((1..=PLACES).contains(&held), "{held}");
    }
}
