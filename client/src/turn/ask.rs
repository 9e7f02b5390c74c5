use std::net::{IpAddr, SocketAddr};

use causeway_wire::attribute::{
    AddressFamily, ChannelNumberAttribute, Lifetime, RequestedAddressFamily, RequestedTransport, XorPeerAddress,
};
use causeway_wire::{ChannelNumber, EncodeError, MessageWriter, Method};

use crate::exchange::Ask;

/// The requests of RFC 8656.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnAsk {
    /// RFC 8656 §7.1.
    Allocate { lifetime: Option<u32>, family: Option<AddressFamily> },
    /// RFC 8656 §8.1; a lifetime of zero deletes.
    Refresh { lifetime: Option<u32> },
    /// RFC 8656 §10.1, one peer at a time, so that one that is refused does not refuse the others with it.
    CreatePermission { peer: IpAddr },
    /// RFC 8656 §12.1.
    ChannelBind { number: ChannelNumber, peer: SocketAddr },
}

impl TurnAsk {
    /// Deletes the allocation (RFC 8656 §8.1).
    pub(super) const DELETE: Self = Self::Refresh { lifetime: Some(0) };

    /// The peer that it is for.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match *self {
            Self::Allocate { .. } | Self::Refresh { .. } => None,
            Self::CreatePermission { peer } => Some(SocketAddr::new(peer, 0)),
            Self::ChannelBind { peer, .. } => Some(peer),
        }
    }
}

impl Ask for TurnAsk {
    fn method(&self) -> Method {
        match self {
            Self::Allocate { .. } => Method::ALLOCATE,
            Self::Refresh { .. } => Method::REFRESH,
            Self::CreatePermission { .. } => Method::CREATE_PERMISSION,
            Self::ChannelBind { .. } => Method::CHANNEL_BIND,
        }
    }

    fn write(&self, writer: &mut MessageWriter<'_>) -> Result<(), EncodeError> {
        match *self {
            Self::Allocate { lifetime, family } => {
                writer.put(&RequestedTransport::UDP)?;
                if let Some(family) = family {
                    writer.put(&RequestedAddressFamily(family))?;
                }
                put_lifetime(writer, lifetime)
            }
            Self::Refresh { lifetime } => put_lifetime(writer, lifetime),
            Self::CreatePermission { peer } => writer.put(&XorPeerAddress(SocketAddr::new(peer, 0))).map(|_| ()),
            Self::ChannelBind { number, peer } => {
                writer.put(&ChannelNumberAttribute(number.number()))?.put(&XorPeerAddress(peer)).map(|_| ())
            }
        }
    }
}

fn put_lifetime(writer: &mut MessageWriter<'_>, lifetime: Option<u32>) -> Result<(), EncodeError> {
    match lifetime {
        Some(seconds) => writer.put(&Lifetime(seconds)).map(|_| ()),
        None => Ok(()),
    }
}
