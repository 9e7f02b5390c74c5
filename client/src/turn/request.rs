//! The four requests of a TURN client and their attributes.

use std::net::{IpAddr, SocketAddr};

use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressFamily, ChannelNumberAttribute, DontFragment, EvenPort,
    Lifetime, RequestedAddressFamily, RequestedTransport, ReservationToken, XorPeerAddress,
};
use causeway_wire::{ChannelNumber, EncodeError, MessageWriter, Method};

use super::config::RelayPort;
use crate::exchange::Request;

/// The requests of RFC 8656.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnRequest {
    /// Allocate (RFC 8656 §7.1).
    Allocate(AllocateRequest),
    /// Refresh (RFC 8656 §8.1). A lifetime of zero deletes; `family` limits it to one family of a
    /// dual allocation.
    Refresh { lifetime: Option<u32>, family: Option<AddressFamily> },
    /// `CreatePermission` (RFC 8656 §10.1), for one peer at a time: in a list, one refused peer
    /// would make the server refuse all.
    CreatePermission { peer: IpAddr },
    /// `ChannelBind` (RFC 8656 §12.1).
    ChannelBind { number: ChannelNumber, peer: SocketAddr },
}

/// The attributes of an Allocate request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AllocateRequest {
    pub(super) lifetime: Option<u32>,
    pub(super) family: Option<AddressFamily>,
    pub(super) both_families: bool,
    pub(super) port: RelayPort,
    pub(super) dont_fragment: bool,
}

impl TurnRequest {
    /// The request that deletes the allocation (RFC 8656 §8.1).
    pub(super) const DELETE: Self = Self::Refresh { lifetime: Some(0), family: None };

    /// The peer that the request is for; of a permission, with port 0.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match *self {
            Self::Allocate(_) | Self::Refresh { .. } => None,
            Self::CreatePermission { peer } => Some(SocketAddr::new(peer, 0)),
            Self::ChannelBind { peer, .. } => Some(peer),
        }
    }
}

impl Request for TurnRequest {
    fn method(&self) -> Method {
        match self {
            Self::Allocate(_) => Method::ALLOCATE,
            Self::Refresh { .. } => Method::REFRESH,
            Self::CreatePermission { .. } => Method::CREATE_PERMISSION,
            Self::ChannelBind { .. } => Method::CHANNEL_BIND,
        }
    }

    fn write(&self, writer: &mut MessageWriter<'_>) -> Result<(), EncodeError> {
        match *self {
            Self::Allocate(request) => request.write(writer),
            Self::Refresh { lifetime, family } => {
                if let Some(family) = family {
                    writer.put(&RequestedAddressFamily(family))?;
                }
                put_lifetime(writer, lifetime)
            }
            Self::CreatePermission { peer } => {
                writer.put(&XorPeerAddress(SocketAddr::new(peer, 0))).map(|_| ())
            }
            Self::ChannelBind { number, peer } => writer
                .put(&ChannelNumberAttribute(number.number()))?
                .put(&XorPeerAddress(peer))
                .map(|_| ()),
        }
    }
}

impl AllocateRequest {
    fn write(&self, writer: &mut MessageWriter<'_>) -> Result<(), EncodeError> {
        writer.put(&RequestedTransport::UDP)?;
        if let Some(family) = self.family {
            writer.put(&RequestedAddressFamily(family))?;
        }
        if self.both_families {
            // "The attribute value in the ADDITIONAL-ADDRESS-FAMILY MUST be set to 0x02 (IPv6
            // address family)" (RFC 8656 §7.1).
            writer.put(&AdditionalAddressFamily(AddressFamily::Ipv6))?;
        }
        match self.port {
            RelayPort::Any => {}
            RelayPort::Even => drop(writer.put(&EvenPort { reserve: false })?),
            RelayPort::EvenAndNext => drop(writer.put(&EvenPort { reserve: true })?),
            RelayPort::Reserved(token) => drop(writer.put(&ReservationToken(token))?),
        }
        if self.dont_fragment {
            writer.put(&DontFragment)?;
        }
        put_lifetime(writer, self.lifetime)
    }
}

fn put_lifetime(writer: &mut MessageWriter<'_>, lifetime: Option<u32>) -> Result<(), EncodeError> {
    match lifetime {
        Some(seconds) => writer.put(&Lifetime(seconds)).map(|_| ()),
        None => Ok(()),
    }
}
