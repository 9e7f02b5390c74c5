//! The pool of relayed ports: takes ports at random, even ones, and pairs, without a lock.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use causeway_relay::{AdvertisedAddress, BoundAddress};
use rand::Rng;

use crate::config::RelayAddress;

/// The ports of one relay address, shared by all workers: one bit per port, set while the port is
/// taken. There is no lock.
pub(crate) struct PortPool {
    address: RelayAddress,
    first: u16,
    count: u32,
    taken: Vec<AtomicU64>,
    free: AtomicUsize,
    /// Number of taken ports that other programs use.
    held_elsewhere: AtomicUsize,
}

/// Port counts of one or more pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PortCounts {
    pub(crate) all: usize,
    pub(crate) free: usize,
    /// Ports that other programs were recently found to use.
    pub(crate) held_elsewhere: usize,
}

impl PortPool {
    pub(crate) fn new(address: RelayAddress, ports: &RangeInclusive<u16>) -> Self {
        let count = u32::from(*ports.end()) - u32::from(*ports.start()) + 1;
        let taken: Vec<_> = (0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        if count % 64 != 0 {
            // The bits of the last word that stand for no port stay set.
            taken[taken.len() - 1].store(u64::MAX << (count % 64), Ordering::Relaxed);
        }
        Self {
            address,
            first: *ports.start(),
            count,
            taken,
            free: AtomicUsize::new(count as usize),
            held_elsewhere: AtomicUsize::new(0),
        }
    }

    /// The bound and the advertised address.
    pub(crate) fn address(&self) -> RelayAddress {
        self.address
    }

    /// Number of free ports.
    pub(crate) fn free(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }

    /// Number of all ports.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// Takes a port chosen at random: "It is RECOMMENDED that a TURN server implement a randomized
    /// port assignment algorithm" (RFC 8656 §7.2). `None` if none is free.
    pub(crate) fn take_any(&self, rng: &mut impl Rng) -> Option<u16> {
        self.take_among(u64::MAX, rng)
    }

    /// Takes an even port chosen at random (RFC 8656 §18.7).
    pub(crate) fn take_even(&self, rng: &mut impl Rng) -> Option<u16> {
        self.take_among(self.even(), rng)
    }

    /// Takes an even port chosen at random and the port after it (RFC 8656 §7.2), and returns the
    /// even one. `None` if no such pair is free.
    pub(crate) fn take_pair(&self, rng: &mut impl Rng) -> Option<u16> {
        let start = rng.next_u32() as usize % self.taken.len();
        let rotation = rng.next_u32() % 64;
        for step in 0..=self.taken.len() {
            let word = (start + step) % self.taken.len();
            while let Some(bit) = free_bit(!self.free_pairs(word), rotation) {
                if !self.set(word, bit) {
                    continue;
                }
                let port = self.first + (word * 64) as u16 + bit as u16;
                if self.take(port + 1) {
                    return Some(port);
                }
                // Another worker was faster: the next look sees that it is taken.
                self.give_back(port);
            }
        }
        None
    }

    /// The bits of a word that stand for even ports that are free together with the next port.
    fn free_pairs(&self, word: usize) -> u64 {
        let taken = self.taken[word].load(Ordering::Relaxed);
        let next = self.taken.get(word + 1).map_or(1, |next| next.load(Ordering::Relaxed) & 1);
        !taken & !(taken >> 1 | next << 63) & self.even()
    }

    /// The bits of each word that stand for even ports.
    fn even(&self) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        if self.first.is_multiple_of(2) { EVEN } else { !EVEN }
    }

    /// Takes one of the ports in `mask`, which applies to each word.
    fn take_among(&self, mask: u64, rng: &mut impl Rng) -> Option<u16> {
        let start = rng.next_u32() % self.count;
        let rotation = rng.next_u32() % 64;
        let words = self.taken.len();
        for step in 0..=words {
            let word = (start as usize / 64 + step) % words;
            // Start at a random bit within the word, too, or ports behind taken ones would be
            // chosen more often.
            while let Some(bit) =
                free_bit(self.taken[word].load(Ordering::Relaxed) | !mask, rotation)
            {
                if self.set(word, bit) {
                    return Some(self.first + (word * 64) as u16 + bit as u16);
                }
            }
        }
        None
    }

    /// Takes this port; whether it was free.
    pub(crate) fn take(&self, port: u16) -> bool {
        self.place(port).is_some_and(|(word, bit)| self.set(word, bit))
    }

    /// Frees a port.
    pub(crate) fn give_back(&self, port: u16) {
        if let Some((word, bit)) = self.place(port) {
            let before = self.taken[word].fetch_and(!(1 << bit), Ordering::AcqRel);
            if before & (1 << bit) != 0 {
                self.free.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Keeps a taken port that another program uses aside, until it is taken back.
    pub(crate) fn set_aside(&self, port: u16) {
        if self.place(port).is_some() {
            self.held_elsewhere.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Undoes [`set_aside`](Self::set_aside): the port may be tried again.
    fn take_back(&self, port: u16) {
        if self.place(port).is_some() {
            self.held_elsewhere.fetch_sub(1, Ordering::Relaxed);
            self.give_back(port);
        }
    }

    /// Number of ports that other programs were recently found to use.
    pub(crate) fn held_elsewhere(&self) -> usize {
        self.held_elsewhere.load(Ordering::Relaxed)
    }

    /// The advertised address of a port.
    pub(crate) fn advertised(&self, port: u16) -> AdvertisedAddress {
        AdvertisedAddress(SocketAddr::new(self.address.advertised, port))
    }

    /// The bound address of a port.
    pub(crate) fn bound(&self, port: u16) -> BoundAddress {
        BoundAddress(SocketAddr::new(self.address.bound, port))
    }

    fn set(&self, word: usize, bit: u32) -> bool {
        let won = self.taken[word].fetch_or(1 << bit, Ordering::AcqRel) & (1 << bit) == 0;
        if won {
            self.free.fetch_sub(1, Ordering::Relaxed);
        }
        won
    }

    fn place(&self, port: u16) -> Option<(usize, u32)> {
        let offset = u32::from(port.checked_sub(self.first)?);
        (offset < self.count).then_some(((offset / 64) as usize, offset % 64))
    }
}

/// The first zero bit of `word` from `rotation` on, cyclically.
fn free_bit(word: u64, rotation: u32) -> Option<u32> {
    let free = (!word).rotate_right(rotation);
    (free != 0).then(|| (free.trailing_zeros() + rotation) % 64)
}

/// The pools of all relay addresses.
pub(crate) struct PortPools(Vec<PortPool>);

impl PortPools {
    pub(crate) fn new(addresses: &[RelayAddress], ports: &RangeInclusive<u16>) -> Self {
        Self(addresses.iter().map(|address| PortPool::new(*address, ports)).collect())
    }

    /// The pools of a family, in cyclic order from the one that `start`, a random number, selects.
    pub(crate) fn of_family(&self, ipv4: bool, start: u32) -> impl Iterator<Item = &PortPool> {
        let of_family = move |pool: &&PortPool| pool.address.bound.is_ipv4() == ipv4;
        let count = self.0.iter().filter(of_family).count();
        self.0.iter().filter(of_family).cycle().skip(start as usize % count.max(1)).take(count)
    }

    /// The pool of a bound address.
    pub(crate) fn of_address(&self, bound: IpAddr) -> Option<&PortPool> {
        self.0.iter().find(|pool| pool.address.bound == bound)
    }

    /// Frees the port of a bound address.
    pub(crate) fn give_back(&self, bound: BoundAddress) {
        if let Some(pool) = self.of_address(bound.ip()) {
            pool.give_back(bound.port());
        }
    }

    /// Makes a port of a bound address that another program used available again.
    pub(crate) fn take_back(&self, bound: BoundAddress) {
        if let Some(pool) = self.of_address(bound.ip()) {
            pool.take_back(bound.port());
        }
    }

    /// The counts of all pools of a family.
    pub(crate) fn counts(&self, ipv4: bool) -> PortCounts {
        let of_family = self.0.iter().filter(|pool| pool.address.bound.is_ipv4() == ipv4);
        of_family.fold(PortCounts::default(), |counts, pool| PortCounts {
            all: counts.all + pool.count(),
            free: counts.free + pool.free(),
            held_elsewhere: counts.held_elsewhere + pool.held_elsewhere(),
        })
    }

    /// The family of clients that request none (RFC 8656 §7.2: IPv4), or the only one configured:
    /// its name, the number of free ports, and of all ports.
    pub(crate) fn default_family(&self) -> (&'static str, usize, usize) {
        let ipv4 = self.0.iter().any(|pool| pool.address.bound.is_ipv4());
        let PortCounts { all, free, .. } = self.counts(ipv4);
        (if ipv4 { "IPv4" } else { "IPv6" }, free, all)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &PortPool> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn pool(ports: RangeInclusive<u16>) -> PortPool {
        let ip = IpAddr::from([192, 0, 2, 1]);
        PortPool::new(RelayAddress { bound: ip, advertised: ip }, &ports)
    }

    #[test]
    fn rfc8656_7_2_ports_are_lent_in_random_order_each_once_and_come_back() {
        let mut rng = StdRng::seed_from_u64(1);
        for ports in [50_000..=50_000, 50_000..=50_063, 50_001..=50_130, 65_000..=65_535] {
            let pool = pool(ports.clone());
            let mut taken: Vec<u16> = std::iter::from_fn(|| pool.take_any(&mut rng)).collect();
            assert_eq!((taken.len(), pool.free()), (ports.len(), 0));
            assert!(taken.len() < 3 || !taken.is_sorted(), "the order is random");
            taken.sort_unstable();
            assert!(taken.iter().copied().eq(ports.clone()));
            assert!(!pool.take(*ports.start()));
            for port in taken {
                pool.give_back(port);
                pool.give_back(port);
            }
            assert_eq!(pool.free(), ports.len());
            assert!(pool.take(*ports.end()) && !pool.take(*ports.end()));
        }
    }

    #[test]
    fn rfc8656_18_7_an_even_port_is_even() {
        let mut rng = StdRng::seed_from_u64(2);
        for first in [50_000, 50_001] {
            let pool = pool(first..=first + 100);
            let taken: Vec<u16> = std::iter::from_fn(|| pool.take_even(&mut rng)).collect();
            let wanted = (first..=first + 100).filter(|port| port % 2 == 0).count();
            assert!(
                taken.iter().all(|port| port % 2 == 0)
                    && taken.len() == wanted
                    && pool.free() == 101 - wanted
            );
        }
    }

    #[test]
    fn rfc8656_7_2_a_pair_is_an_even_port_and_the_next_one() {
        let mut rng = StdRng::seed_from_u64(3);
        for (first, last, pairs) in [
            (50_000, 50_000, 0),
            (50_000, 50_127, 64),
            (50_001, 50_128, 63),
            (50_001, 50_200, 100 - 1),
            (65_000, 65_535, 268),
        ] {
            let pool = pool(first..=last);
            let taken: Vec<u16> = std::iter::from_fn(|| pool.take_pair(&mut rng)).collect();
            assert!(
                taken.iter().all(|port| port % 2 == 0 && !pool.take(*port) && !pool.take(port + 1))
            );
            assert_eq!(
                (taken.len(), pool.free()),
                (pairs, usize::from(last - first) + 1 - 2 * pairs),
                "{first} to {last}"
            );
            assert!(taken.len() < 3 || !taken.is_sorted(), "the order is random");
            taken.iter().for_each(|port| {
                pool.give_back(*port);
                pool.give_back(port + 1);
            });
            assert_eq!(pool.free(), usize::from(last - first) + 1);
        }
    }

    #[test]
    fn rfc8656_7_2_half_a_pair_is_none() {
        let mut rng = StdRng::seed_from_u64(4);
        let pool = pool(50_000..=50_199);
        let held: Vec<u16> =
            (50_000..=50_199).step_by(4).map(|port| port + u16::from(port % 8 == 0)).collect();
        assert!(held.iter().all(|port| pool.take(*port)));
        let taken: Vec<u16> = std::iter::from_fn(|| pool.take_pair(&mut rng)).collect();
        assert_eq!((taken.len(), pool.free()), (50, 200 - 50 - 100));
    }

    #[test]
    fn addresses_of_a_family_share_what_there_is_to_do_and_stand_in_for_each_other() {
        let mut rng = StdRng::seed_from_u64(5);
        let address =
            |ip: &str| RelayAddress { bound: ip.parse().unwrap(), advertised: ip.parse().unwrap() };
        let pools = PortPools::new(
            &["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"].map(address),
            &(50_000..=50_099),
        );
        let mut first = [0; 4];
        for start in 0..300 {
            let family: Vec<_> =
                pools.of_family(true, start).map(|pool| pool.address.bound).collect();
            assert_eq!(family.len(), 3, "each once, whichever begins");
            assert!(
                family.iter().all(IpAddr::is_ipv4)
                    && family[0] != family[1]
                    && family[1] != family[2]
                    && family[2] != family[0]
            );
            first[pools.0.iter().position(|pool| pool.address.bound == family[0]).unwrap()] += 1;
        }
        assert_eq!(first, [100, 0, 100, 100]);
        let taken = (0..300).filter(|_| {
            let start = rng.next_u32();
            pools.of_family(true, start).any(|pool| pool.take_any(&mut rng).is_some())
        });
        assert_eq!(taken.count(), 300, "until the last port of the last one");
        assert!(pools.of_family(true, 7).all(|pool| pool.free() == 0));
        assert_eq!(pools.of_family(false, 7).map(PortPool::free).collect::<Vec<_>>(), [100]);
    }

    #[test]
    fn a_port_outside_the_range_is_nobodys() {
        let pool = pool(50_000..=50_009);
        assert!(!pool.take(49_999) && !pool.take(50_010));
        pool.give_back(50_010);
        assert_eq!(pool.free(), 10);
    }
}
