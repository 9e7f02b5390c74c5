//! A limit on how much clients may have open, in total and per client prefix (H13, H14).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A limit on one kind of thing that clients open (connections, associations, handshakes), shared
/// by all workers: a maximum in total, and a maximum per prefix (an IPv4 address, an IPv6 /64).
///
/// It is locked when something is opened or closed, never for a packet. Its size is bounded by
/// what is open.
#[derive(Debug)]
pub struct ClientLimit {
    total: usize,
    per_prefix: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_prefix: HashMap<IpAddr, usize>,
}

/// One unit of a [`ClientLimit`]. Dropping it gives the unit back, whatever path drops it.
#[derive(Debug)]
pub struct LimitGuard {
    limit: Arc<ClientLimit>,
    prefix: IpAddr,
}

/// The maximum that a client ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitReached {
    /// The maximum over all clients.
    Total,
    /// The maximum of the client's prefix.
    Prefix,
}

impl ClientLimit {
    /// A limit of `total`, of which one prefix may have at most `per_prefix`.
    pub fn new(total: usize, per_prefix: usize) -> Arc<Self> {
        Arc::new(Self { total, per_prefix, taken: Mutex::default() })
    }

    /// Takes one unit for `client`.
    ///
    /// # Errors
    /// [`LimitReached`]: nothing was taken.
    pub fn take(self: &Arc<Self>, client: IpAddr) -> Result<LimitGuard, LimitReached> {
        let prefix = client_prefix(client);
        let mut taken = self.lock();
        let of_prefix = taken.by_prefix.get(&prefix).copied().unwrap_or(0);
        if of_prefix >= self.per_prefix {
            return Err(LimitReached::Prefix);
        }
        if taken.total >= self.total {
            return Err(LimitReached::Total);
        }
        taken.total += 1;
        taken.by_prefix.insert(prefix, of_prefix + 1);
        Ok(LimitGuard { limit: Arc::clone(self), prefix })
    }

    /// How many units are taken now.
    pub fn taken(&self) -> usize {
        self.lock().total
    }

    /// How many prefixes hold at least one unit.
    pub fn prefixes(&self) -> usize {
        self.lock().by_prefix.len()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // A poisoned lock holds consistent counts: nothing between two of their changes can panic.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LimitGuard {
    fn drop(&mut self) {
        let mut taken = self.limit.lock();
        taken.total -= 1;
        match taken.by_prefix.get_mut(&self.prefix) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = taken.by_prefix.remove(&self.prefix),
        }
    }
}

/// The prefix that counts as one client: an IPv4 address, or an IPv6 /64.
pub fn client_prefix(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        ipv4 => ipv4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h13_h14_units_are_counted_by_prefix_and_in_total_and_come_back() {
        let limit = ClientLimit::new(3, 2);
        let take = |text: &str| limit.take(text.parse().unwrap());
        let first = take("2001:db8:1:2::1").unwrap();
        let _second = take("2001:db8:1:2:ffff::9").unwrap();
        assert!(
            take("2001:db8:1:2::3").is_err_and(|reached| reached == LimitReached::Prefix),
            "one /64 is one client"
        );
        let third = take("192.0.2.1").unwrap();
        assert!(
            take("192.0.2.2").is_err_and(|reached| reached == LimitReached::Total),
            "three in total"
        );
        drop(first);
        assert_eq!(limit.taken(), 2);
        let fourth = take("2001:db8:1:2::4").unwrap();
        drop((third, fourth, _second));
        assert_eq!(limit.taken(), 0);
        assert!(limit.lock().by_prefix.is_empty());
    }
}
