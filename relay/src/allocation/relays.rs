//! The relayed addresses of one allocation, at most one per family, and when each expires.

use std::net::IpAddr;
use std::time::Duration;

use causeway_wire::attribute::AddressFamily;

use crate::address::{AdvertisedAddress, BoundAddress};
use crate::memory::moment::Moment;

/// A relayed transport address (RFC 8656 §2), with the address that its socket is bound to: they
/// differ behind a 1:1 NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayedTransportAddress {
    /// The address that the socket is bound to.
    pub bound: BoundAddress,
    /// The address that the client is told and that peers see.
    pub advertised: AdvertisedAddress,
}

impl RelayedTransportAddress {
    pub(crate) fn family(&self) -> AddressFamily {
        AddressFamily::of(&self.bound.ip())
    }
}

/// Why a relayed socket could not be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindFailure {
    /// No port, descriptor or memory is left: 508.
    Capacity,
    /// The host has no relay address of this family: 440.
    Family,
}

/// The state of one of the two places for a relayed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relay {
    /// Nothing was asked for, or the address has ended.
    Absent,
    /// The socket is being bound.
    Binding(AddressFamily),
    /// The socket is bound, and relays.
    Bound(AddressFamily),
    /// It was asked for, but could not be bound.
    Refused(AddressFamily, BindFailure),
}

/// The relayed addresses of an allocation, one a family, each with its time-to-expiry (RFC 8656
/// §6). The addresses themselves are in the cold record: no data path reads them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relays {
    places: [Relay; 2],
    expires: [Moment; 2],
}

impl Relays {
    /// One or two addresses that are being bound, and expire at these times.
    pub(crate) fn binding(wanted: impl IntoIterator<Item = (AddressFamily, Moment)>) -> Self {
        let mut relays =
            Self { places: [Relay::Absent; 2], expires: [Moment::of(Duration::ZERO); 2] };
        for ((place, expires), (family, until)) in
            relays.places.iter_mut().zip(&mut relays.expires).zip(wanted)
        {
            (*place, *expires) = (Relay::Binding(family), until);
        }
        relays
    }

    /// Whether the address with this index is being bound.
    pub(crate) fn is_binding(&self, index: u8) -> bool {
        matches!(self.places.get(usize::from(index)), Some(Relay::Binding(_)))
    }

    /// The indices and families of the addresses that are being bound.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (u8, AddressFamily)> + '_ {
        (0u8..).zip(&self.places).filter_map(|(index, place)| match place {
            Relay::Binding(family) => Some((index, *family)),
            Relay::Absent | Relay::Bound(_) | Relay::Refused(..) => None,
        })
    }

    /// Notes that an address has been bound.
    pub(crate) fn bind(&mut self, index: u8, family: AddressFamily) {
        self.places[usize::from(index)] = Relay::Bound(family);
    }

    /// Notes that an address could not be bound. `false` when none was being bound with this index.
    pub(crate) fn refuse(&mut self, index: u8, failure: BindFailure) -> bool {
        match self.places.get_mut(usize::from(index)) {
            Some(place @ &mut Relay::Binding(family)) => *place = Relay::Refused(family, failure),
            _ => return false,
        }
        true
    }

    /// Whether no address is being bound any more.
    pub(crate) fn is_ready(&self) -> bool {
        !self.places.iter().any(|place| matches!(place, Relay::Binding(_)))
    }

    /// The indices of the bound relayed addresses.
    pub(crate) fn bound(&self) -> impl Iterator<Item = u8> + use<> {
        let places = self.places;
        (0u8..2).filter(move |index| matches!(places[usize::from(*index)], Relay::Bound(_)))
    }

    /// The families that could not be bound, with the reasons.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (AddressFamily, BindFailure)> + '_ {
        self.places.iter().filter_map(|place| match place {
            Relay::Refused(family, failure) => Some((*family, *failure)),
            Relay::Absent | Relay::Binding(_) | Relay::Bound(_) => None,
        })
    }

    /// Forgets the addresses that could not be bound.
    pub(crate) fn forget_refused(&mut self) {
        self.places
            .iter_mut()
            .filter(|place| matches!(place, Relay::Refused(..)))
            .for_each(|place| *place = Relay::Absent);
    }

    /// The index of the bound address of this family, expired or not.
    #[inline]
    pub(crate) fn of_family(&self, family: AddressFamily) -> Option<u8> {
        self.places.iter().position(|place| *place == Relay::Bound(family)).map(|index| index as u8)
    }

    /// The index of the live address from which datagrams to this peer are sent.
    #[inline]
    pub(crate) fn for_peer(&self, peer: &IpAddr, now: Moment) -> Option<u8> {
        self.of_family(AddressFamily::of(peer))
            .filter(|index| self.expires[usize::from(*index)].is_after(now))
    }

    /// Whether the address with this index is bound.
    #[inline]
    pub(crate) fn is_bound(&self, index: u8) -> bool {
        matches!(self.places.get(usize::from(index)), Some(Relay::Bound(_)))
    }

    /// Whether the address with this index is bound and has not expired.
    #[inline]
    pub(crate) fn is_live(&self, index: u8, now: Moment) -> bool {
        self.is_bound(index) && self.expires[usize::from(index)].is_after(now)
    }

    /// Whether an address, bound or being bound, has not expired. The allocation lives as long.
    #[inline]
    pub(crate) fn any_live(&self, now: Moment) -> bool {
        self.expiries().any(|expires| expires.is_after(now))
    }

    /// Whether an address has expired.
    pub(crate) fn any_expired(&self, now: Moment) -> bool {
        self.expiries().any(|expires| !expires.is_after(now))
    }

    /// When the address with this index expires.
    pub(crate) fn expiry(&self, index: u8) -> Moment {
        self.expires[usize::from(index)]
    }

    /// The time until the last address expires, and the allocation with it.
    pub(crate) fn left(&self, now: Duration) -> Duration {
        self.expiries().map(|expires| expires.left(now)).max().unwrap_or_default()
    }

    /// When the first address expires, in monotonic time.
    pub(crate) fn next_expiry(&self, now: Duration) -> Duration {
        self.expiries().map(|expires| expires.time(now)).min().unwrap_or_default()
    }

    #[inline]
    fn expiries(&self) -> impl Iterator<Item = Moment> + '_ {
        let lives = |place: &Relay| matches!(place, Relay::Bound(_) | Relay::Binding(_));
        self.places
            .iter()
            .zip(&self.expires)
            .filter(move |(place, _)| lives(place))
            .map(|(_, expires)| *expires)
    }

    /// Resets the time-to-expiry of the address of this family, or of all.
    pub(crate) fn refresh(&mut self, family: Option<AddressFamily>, until: Moment) {
        for (place, expires) in self.places.iter().zip(&mut self.expires) {
            if matches!(place, Relay::Bound(bound) if family.is_none_or(|family| family == *bound))
            {
                *expires = until;
            }
        }
    }

    /// Removes the address with this index. Returns whether it was bound.
    pub(crate) fn remove(&mut self, index: u8) -> bool {
        match self.places.get_mut(usize::from(index)) {
            Some(place @ Relay::Bound(_)) => {
                *place = Relay::Absent;
                true
            }
            _ => false,
        }
    }
}
