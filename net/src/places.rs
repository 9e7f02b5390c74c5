//! How much clients may have open, and whose it is (H13, H14).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places for whatever clients open, over all workers: so many in all, and so many for one prefix
/// (an IPv4 address, an IPv6 /64). Locked when something comes or goes, never for a packet; its
/// size is bounded by what is open.
#[derive(Debug)]
pub struct Places {
    all: usize,
    per_prefix: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_prefix: HashMap<IpAddr, usize>,
}

/// One place, given back when it is dropped, whatever path drops it.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    prefix: IpAddr,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All,
    /// All of the client's prefix are.
    Prefix,
}

impl Places {
    /// `all` places, `per_prefix` of them for one prefix at the most.
    pub fn new(all: usize, per_prefix: usize) -> Arc<Self> {
        Arc::new(Self { all, per_prefix, taken: Mutex::default() })
    }

    /// A place for `client`.
    ///
    /// # Errors
    /// All, or all of its prefix, are taken.
    pub fn take(self: &Arc<Self>, client: IpAddr) -> Result<Place, Full> {
        let prefix = client_prefix(client);
        let mut taken = self.lock();
        let of_prefix = taken.by_prefix.get(&prefix).copied().unwrap_or(0);
        if of_prefix >= self.per_prefix {
            return Err(Full::Prefix);
        }
        if taken.all >= self.all {
            return Err(Full::All);
        }
        taken.all += 1;
        taken.by_prefix.insert(prefix, of_prefix + 1);
        Ok(Place { places: Arc::clone(self), prefix })
    }

    /// How many are taken now.
    pub fn taken(&self) -> usize {
        self.lock().all
    }

    /// How many prefixes have taken one.
    pub fn prefixes(&self) -> usize {
        self.lock().by_prefix.len()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // The counts are right at each moment: nothing between two of their changes can panic.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        match taken.by_prefix.get_mut(&self.prefix) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = taken.by_prefix.remove(&self.prefix),
        }
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /64.
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
    fn h13_h14_places_are_counted_by_prefix_and_in_all_and_come_back() {
        let places = Places::new(3, 2);
        let take = |text: &str| places.take(text.parse().unwrap());
        let first = take("2001:db8:1:2::1").unwrap();
        let _second = take("2001:db8:1:2:ffff::9").unwrap();
        assert!(
            take("2001:db8:1:2::3").is_err_and(|full| full == Full::Prefix),
            "one /64 is one client"
        );
        let third = take("192.0.2.1").unwrap();
        assert!(take("192.0.2.2").is_err_and(|full| full == Full::All), "three in all");
        drop(first);
        assert_eq!(places.taken(), 2);
        let fourth = take("2001:db8:1:2::4").unwrap();
        drop((third, fourth, _second));
        assert_eq!(places.taken(), 0);
        assert!(places.lock().by_prefix.is_empty());
    }
}
