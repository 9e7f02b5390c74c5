use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rand::Rng;

use crate::config::RelayAddress;

/// The ports of one relay address, shared by all workers: a bit a port, set while it is lent. No
/// lock is held.
pub(crate) struct PortPool {
    address: RelayAddress,
    first: u16,
    count: u32,
    lent: Vec<AtomicU64>,
    free: AtomicUsize,
    /// Those of the lent ones that other programs hold.
    held_elsewhere: AtomicUsize,
}

/// The ports of several pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PortCounts {
    pub(crate) all: usize,
    pub(crate) free: usize,
    /// Those that other programs were found to hold a moment ago.
    pub(crate) held_elsewhere: usize,
}

impl PortPool {
    pub(crate) fn new(address: RelayAddress, ports: &RangeInclusive<u16>) -> Self {
        let count = u32::from(*ports.end()) - u32::from(*ports.start()) + 1;
        let lent: Vec<_> = (0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        if count % 64 != 0 {
            // The last word's bits that stand for no port are lent for ever.
            lent[lent.len() - 1].store(u64::MAX << (count % 64), Ordering::Relaxed);
        }
        Self {
            address,
            first: *ports.start(),
            count,
            lent,
            free: AtomicUsize::new(count as usize),
            held_elsewhere: AtomicUsize::new(0),
        }
    }

    /// The address, from inside and from outside.
    pub(crate) fn address(&self) -> RelayAddress {
        self.address
    }

    /// Ports that are not lent.
    pub(crate) fn free(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }

    /// Ports, lent or not.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// Lends a port chosen at random: "It is RECOMMENDED that a TURN server implement a randomized
    /// port assignment algorithm" (RFC 8656 §7.2). `None` when all are lent.
    pub(crate) fn take_any(&self, rng: &mut impl Rng) -> Option<u16> {
        self.take_among(u64::MAX, rng)
    }

    /// Lends an even port chosen at random (RFC 8656 §18.7).
    pub(crate) fn take_even(&self, rng: &mut impl Rng) -> Option<u16> {
        self.take_among(self.even(), rng)
    }

    /// Lends an even port chosen at random and the one after it (RFC 8656 §7.2): the even one.
    /// `None` when no such pair is free.
    pub(crate) fn take_pair(&self, rng: &mut impl Rng) -> Option<u16> {
        let start = rng.next_u32() as usize % self.lent.len();
        let rotation = rng.next_u32() % 64;
        for step in 0..=self.lent.len() {
            let word = (start + step) % self.lent.len();
            while let Some(bit) = free_bit(!self.free_pairs(word), rotation) {
                if !self.set(word, bit) {
                    continue;
                }
                let port = self.first + (word * 64) as u16 + bit as u16;
                if self.take(port + 1) {
                    return Some(port);
                }
                // Another worker was faster: the next look sees that it is lent.
                self.give_back(port);
            }
        }
        None
    }

    /// The bits of a word that stand for even ports which are free, as are those after them.
    fn free_pairs(&self, word: usize) -> u64 {
        let lent = self.lent[word].load(Ordering::Relaxed);
        let next = self.lent.get(word + 1).map_or(1, |next| next.load(Ordering::Relaxed) & 1);
        !lent & !(lent >> 1 | next << 63) & self.even()
    }

    /// The bits of each word that stand for even ports.
    fn even(&self) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        if self.first.is_multiple_of(2) { EVEN } else { !EVEN }
    }

    /// Lends one of the ports that `mask` names in each word.
    fn take_among(&self, mask: u64, rng: &mut impl Rng) -> Option<u16> {
        let start = rng.next_u32() % self.count;
        let rotation = rng.next_u32() % 64;
        let words = self.lent.len();
        for step in 0..=words {
            let word = (start as usize / 64 + step) % words;
            // Within the word too it starts at a random bit, or ports behind lent ones would come
            // up more often.
            while let Some(bit) =
                free_bit(self.lent[word].load(Ordering::Relaxed) | !mask, rotation)
            {
                if self.set(word, bit) {
                    return Some(self.first + (word * 64) as u16 + bit as u16);
                }
            }
        }
        None
    }

    /// Lends this very port, if nobody has it.
    pub(crate) fn take(&self, port: u16) -> bool {
        self.place(port).is_some_and(|(word, bit)| self.set(word, bit))
    }

    /// Takes a port back.
    pub(crate) fn give_back(&self, port: u16) {
        if let Some((word, bit)) = self.place(port) {
            let before = self.lent[word].fetch_and(!(1 << bit), Ordering::AcqRel);
            if before & (1 << bit) != 0 {
                self.free.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Keeps a lent port that another program holds out of the way, until it is taken back.
    pub(crate) fn set_aside(&self, port: u16) {
        if self.place(port).is_some() {
            self.held_elsewhere.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends what [`set_aside`](Self::set_aside) has begun: the port may be tried again.
    fn take_back(&self, port: u16) {
        if self.place(port).is_some() {
            self.held_elsewhere.fetch_sub(1, Ordering::Relaxed);
            self.give_back(port);
        }
    }

    /// Ports that other programs were found to hold a moment ago.
    pub(crate) fn held_elsewhere(&self) -> usize {
        self.held_elsewhere.load(Ordering::Relaxed)
    }

    /// What a peer sees of a bound port.
    pub(crate) fn advertised(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address.advertised, port)
    }

    /// What a socket is bound to.
    pub(crate) fn bound(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address.bound, port)
    }

    fn set(&self, word: usize, bit: u32) -> bool {
        let won = self.lent[word].fetch_or(1 << bit, Ordering::AcqRel) & (1 << bit) == 0;
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

/// A zero bit of `word`, the first one from `rotation` on.
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

    /// The pools of a family, beginning with the one that `start`, a random number, falls on.
    pub(crate) fn of_family(&self, ipv4: bool, start: u32) -> impl Iterator<Item = &PortPool> {
        let of_family = move |pool: &&PortPool| pool.address.bound.is_ipv4() == ipv4;
        let count = self.0.iter().filter(of_family).count();
        self.0.iter().filter(of_family).cycle().skip(start as usize % count.max(1)).take(count)
    }

    /// The pool of a bound address.
    pub(crate) fn of_address(&self, bound: IpAddr) -> Option<&PortPool> {
        self.0.iter().find(|pool| pool.address.bound == bound)
    }

    /// Takes the port of a bound address back.
    pub(crate) fn give_back(&self, bound: SocketAddr) {
        if let Some(pool) = self.of_address(bound.ip()) {
            pool.give_back(bound.port());
        }
    }

    /// Takes back a port of a bound address that another program held.
    pub(crate) fn take_back(&self, bound: SocketAddr) {
        if let Some(pool) = self.of_address(bound.ip()) {
            pool.take_back(bound.port());
        }
    }

    /// The ports of all pools of a family.
    pub(crate) fn counts(&self, ipv4: bool) -> PortCounts {
        let of_family = self.0.iter().filter(|pool| pool.address.bound.is_ipv4() == ipv4);
        of_family.fold(PortCounts::default(), |counts, pool| PortCounts {
            all: counts.all + pool.count(),
            free: counts.free + pool.free(),
            held_elsewhere: counts.held_elsewhere + pool.held_elsewhere(),
        })
    }

    /// The family of clients that ask for none (RFC 8656 §7.2: IPv4), or the only one that there
    /// is: its name, its free ports, and all of them.
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
            let mut lent: Vec<u16> = std::iter::from_fn(|| pool.take_any(&mut rng)).collect();
            assert_eq!((lent.len(), pool.free()), (ports.len(), 0));
            assert!(lent.len() < 3 || !lent.is_sorted(), "the order is random");
            lent.sort_unstable();
            assert!(lent.iter().copied().eq(ports.clone()));
            assert!(!pool.take(*ports.start()));
            for port in lent {
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
            let lent: Vec<u16> = std::iter::from_fn(|| pool.take_even(&mut rng)).collect();
            let wanted = (first..=first + 100).filter(|port| port % 2 == 0).count();
            assert!(
                lent.iter().all(|port| port % 2 == 0)
                    && lent.len() == wanted
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
        let lent = (0..300).filter(|_| {
            let start = rng.next_u32();
            pools.of_family(true, start).any(|pool| pool.take_any(&mut rng).is_some())
        });
        assert_eq!(lent.count(), 300, "until the last port of the last one");
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
