//! The client's record of its allocation: relayed addresses, lifetime, refresh.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_wire::Message;
use causeway_wire::attribute::{
    AddressErrorCode, AddressFamily, Lifetime, ReservationToken, XorMappedAddress,
    XorRelayedAddress,
};

use super::config::RelayPort;
use super::event::{Allocated, Rejected};
use super::request::AllocateRequest;
use crate::binding::canonical;

/// How long before its end an allocation is refreshed, if its lifetime is long enough; a
/// transaction takes up to 39.5 s.
const MARGIN: Duration = Duration::from_secs(60);

/// The client's "own copy of the allocation data structure" (RFC 8656 §7.3).
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) allocated: Allocated,
    pub(super) expires: Duration,
    /// When to refresh; `None` while a Refresh is pending, or after a refusal.
    pub(super) refresh: Option<Duration>,
}

impl Allocation {
    pub(super) fn new(allocated: Allocated, now: Duration) -> Self {
        let mut allocation = Self { allocated, expires: now, refresh: None };
        allocation.extend(allocated.lifetime, now);
        allocation
    }

    /// Extends the allocation to `lifetime` from now.
    pub(super) fn extend(&mut self, lifetime: Duration, now: Duration) {
        self.allocated.lifetime = lifetime;
        self.expires = now + lifetime;
        self.refresh = Some(now + lifetime.saturating_sub(MARGIN).max(lifetime * 3 / 4));
    }

    /// Removes the relayed address of one family; `false` if it is the only one.
    pub(super) fn release(&mut self, family: AddressFamily) -> bool {
        let Allocated { relayed, additional, .. } = &mut self.allocated;
        match *additional {
            None => false,
            Some(other) => {
                if AddressFamily::of(&relayed.ip()) == family {
                    *relayed = other;
                }
                *additional = None;
                true
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Duration {
        self.refresh.map_or(self.expires, |refresh| refresh.min(self.expires))
    }
}

/// Reads an Allocate success response. Returns `None` if it lacks one of the three attributes that
/// it must have (RFC 8656 §7.2), or has relayed addresses that were not requested: "then the client
/// MUST delete the allocation" (RFC 8656 §7.3).
pub(super) fn read_allocated(
    message: &Message<'_>,
    request: &AllocateRequest,
) -> Option<Allocated> {
    let mut relayed: Vec<SocketAddr> = message
        .all::<XorRelayedAddress>()
        .map(|relayed| relayed.ok().map(|relayed| relayed.0))
        .collect::<Option<_>>()?;
    relayed.sort_by_key(SocketAddr::is_ipv6);
    let families: Vec<AddressFamily> =
        relayed.iter().map(|relayed| AddressFamily::of(&relayed.ip())).collect();
    let expected = match (request.both_families, request.port, request.family) {
        // A server that does not know ADDITIONAL-ADDRESS-FAMILY answers as if it were absent.
        (true, ..) => matches!(families[..], [_] | [AddressFamily::Ipv4, AddressFamily::Ipv6]),
        (false, RelayPort::Reserved(_), _) => families.len() == 1,
        (false, _, family) => families == [family.unwrap_or(AddressFamily::Ipv4)],
    };
    let rejected = message.attribute::<AddressErrorCode<'_>>().ok().flatten();
    Some(Allocated {
        relayed: *relayed.first().filter(|_| expected)?,
        additional: relayed.get(1).copied(),
        rejected: rejected
            .map(|rejected| Rejected { family: rejected.family, code: rejected.code }),
        reservation: message.attribute::<ReservationToken>().ok()?.map(|token| token.0),
        mapped: canonical(message.attribute::<XorMappedAddress>().ok()??.0),
        lifetime: read_lifetime(message).filter(|lifetime| !lifetime.is_zero())?,
    })
}

/// Reads LIFETIME: 32 bits of seconds, at most 136 years.
pub(super) fn read_lifetime(message: &Message<'_>) -> Option<Duration> {
    message.attribute::<Lifetime>().ok()?.map(|lifetime| Duration::from_secs(lifetime.0.into()))
}
