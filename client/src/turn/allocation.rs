use std::time::{Duration, Instant};

use causeway_wire::Message;
use causeway_wire::attribute::{Lifetime, XorMappedAddress, XorRelayedAddress};

use super::event::Allocated;

/// Refreshed so long before the end, if the lifetime is long enough for that; a transaction takes up to 39.5 s.
const MARGIN: Duration = Duration::from_secs(60);

/// The client's "own copy of the allocation data structure" (RFC 8656 §7.3).
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) allocated: Allocated,
    pub(super) expires: Instant,
    /// When to refresh; `None` while a Refresh is open, or after one that was refused.
    pub(super) refresh: Option<Instant>,
}

impl Allocation {
    pub(super) fn new(allocated: Allocated, now: Instant) -> Self {
        let mut allocation = Self { allocated, expires: now, refresh: None };
        allocation.extend(allocated.lifetime, now);
        allocation
    }

    /// It lasts for `lifetime` from now.
    pub(super) fn extend(&mut self, lifetime: Duration, now: Instant) {
        self.allocated.lifetime = lifetime;
        self.expires = now + lifetime;
        self.refresh = Some(now + lifetime.saturating_sub(MARGIN).max(lifetime * 3 / 4));
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.refresh.map_or(self.expires, |refresh| refresh.min(self.expires))
    }
}

/// Reads an Allocate success response; `None` if it lacks one of the three (RFC 8656 §7.2).
pub(super) fn read_allocated(message: &Message<'_>) -> Option<Allocated> {
    Some(Allocated {
        relayed: message.attribute::<XorRelayedAddress>().ok()??.0,
        mapped: message.attribute::<XorMappedAddress>().ok()??.0,
        lifetime: read_lifetime(message).filter(|lifetime| !lifetime.is_zero())?,
    })
}

/// LIFETIME; at most 136 years, as 32 bits of seconds are.
pub(super) fn read_lifetime(message: &Message<'_>) -> Option<Duration> {
    message.attribute::<Lifetime>().ok()?.map(|lifetime| Duration::from_secs(lifetime.0.into()))
}
