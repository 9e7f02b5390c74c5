//! Quotas: what one user holds across all workers, and one source prefix at this worker.

use std::net::IpAddr;

use ahash::AHashMap;

/// Counts the allocations of each user across all workers. An allocation owns the guard that it was
/// granted; dropping the guard, on whatever path, gives the place back (H30).
pub trait Ledger {
    /// The place of one allocation in its user's quota.
    type Guard;

    /// Takes a place for one more allocation of this user; `None` if all are taken: 486
    /// (RFC 8656 §7.2).
    fn try_acquire(&self, quota_name: &str) -> Option<Self::Guard>;
}

/// A ledger without a quota.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl Ledger for Unlimited {
    type Guard = ();

    fn try_acquire(&self, _: &str) -> Option<()> {
        Some(())
    }
}

/// The number of allocations, or of parked requests, of each source prefix at this worker: /32 of
/// IPv4, /64 of IPv6 (H33). Bounded by their number.
#[derive(Debug, Default)]
pub(crate) struct PrefixCounts {
    counts: AHashMap<u64, u32>,
}

impl PrefixCounts {
    pub(crate) fn count(&self, client: IpAddr) -> u32 {
        self.counts.get(&prefix(client)).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, client: IpAddr) {
        *self.counts.entry(prefix(client)).or_insert(0) += 1;
    }

    pub(crate) fn remove(&mut self, client: IpAddr) {
        let key = prefix(client);
        if let Some(count) = self.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }
}

/// IPv4 addresses and IPv6 prefixes share the key space: no global IPv6 prefix has 32 leading zero
/// bits.
fn prefix(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
    }
}
