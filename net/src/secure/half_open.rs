//! How many handshakes may be under way, and whose they are (H13, H14).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What those who begin handshakes may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// Handshakes under way, over all workers and both protocols.
    pub half_open: usize,
    /// Those of one prefix among them: an IPv4 address, an IPv6 /64.
    pub half_open_per_prefix: usize,
    /// How long a handshake may take.
    pub time: Duration,
    /// DTLS handshakes that may begin in a second, over all workers; a second's worth may come at once.
    pub dtls_per_second: u32,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self { half_open: 4_096, half_open_per_prefix: 64, time: Duration::from_secs(5), dtls_per_second: 2_000 }
    }
}

/// Counts the handshakes under way.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    all: usize,
    per_prefix: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_prefix: HashMap<IpAddr, usize>,
}

/// One handshake's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    half_open: Arc<HalfOpen>,
    prefix: IpAddr,
}

impl HalfOpen {
    pub(crate) fn new(limits: &HandshakeLimits) -> Arc<Self> {
        Arc::new(Self { all: limits.half_open, per_prefix: limits.half_open_per_prefix, taken: Mutex::default() })
    }

    /// A place for a handshake with `client`; `None` when all, or all of its prefix, are taken.
    pub(crate) fn take(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let prefix = prefix(client);
        let mut taken = self.lock();
        let of_prefix = taken.by_prefix.get(&prefix).copied().unwrap_or(0);
        if taken.all >= self.all || of_prefix >= self.per_prefix {
            return None;
        }
        taken.all += 1;
        taken.by_prefix.insert(prefix, of_prefix + 1);
        Some(Place { half_open: Arc::clone(self), prefix })
    }

    /// How many are taken now.
    pub(crate) fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // The counts are right at each moment: nothing between two of their changes can panic.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.half_open.lock();
        taken.all -= 1;
        match taken.by_prefix.get_mut(&self.prefix) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = taken.by_prefix.remove(&self.prefix),
        }
    }
}

/// One IPv4 address, or one IPv6 /64.
fn prefix(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h13_h14_places_are_counted_by_prefix_and_in_all_and_come_back() {
        let limits = HandshakeLimits { half_open: 3, half_open_per_prefix: 2, ..HandshakeLimits::default() };
        let half_open = HalfOpen::new(&limits);
        let take = |text: &str| half_open.take(text.parse().unwrap());
        let first = take("2001:db8:1:2::1").unwrap();
        let _second = take("2001:db8:1:2:ffff::9").unwrap();
        assert!(take("2001:db8:1:2::3").is_none(), "one /64 is one client");
        let third = take("192.0.2.1").unwrap();
        assert!(take("192.0.2.2").is_none(), "three in all");
        drop(first);
        assert_eq!(half_open.taken(), 2);
        let fourth = take("2001:db8:1:2::4").unwrap();
        drop((third, fourth, _second));
        assert_eq!(half_open.taken(), 0);
        assert!(half_open.lock().by_prefix.is_empty());
    }
}
