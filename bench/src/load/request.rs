//! The requests of the load's clients.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use causeway_wire::attribute::{
    ChannelNumberAttribute, Lifetime, Nonce, Realm, RequestedTransport, Username, XorPeerAddress,
};
use causeway_wire::{Class, EncodeError, MessageWriter, Method, TransactionId};

use crate::load::credentials::Credentials;

/// The lifetime that the clients request, in seconds.
pub(crate) const LIFETIME: u32 = 600;

/// A request of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A challenge: an Allocate without credentials.
    Challenge,
    /// An allocation with a UDP relay.
    Allocate,
    /// A channel to a peer, which includes a permission.
    Bind { channel: u16, peer: SocketAddr },
    /// A permission for a peer.
    Permit { peer: SocketAddr },
    /// Another lifetime for the allocation, in seconds; 0 ends it.
    Refresh { lifetime: u32 },
    /// The client's own address.
    Binding,
}

impl Request {
    pub(crate) fn method(self) -> Method {
        match self {
            Self::Challenge | Self::Allocate => Method::ALLOCATE,
            Self::Bind { .. } => Method::CHANNEL_BIND,
            Self::Permit { .. } => Method::CREATE_PERMISSION,
            Self::Refresh { .. } => Method::REFRESH,
            Self::Binding => Method::BINDING,
        }
    }

    pub(crate) fn is_signed(self) -> bool {
        !matches!(self, Self::Challenge | Self::Binding)
    }

    /// Writes the request; returns its length in bytes.
    pub(crate) fn write(
        self,
        buffer: &mut [u8],
        id: [u8; 12],
        client: usize,
        credentials: &Credentials,
    ) -> Result<usize> {
        self.encode(buffer, id, client, credentials)
            .ok()
            .with_context(|| format!("a {:?} request that is too long", self.method()))
    }

    fn encode(
        self,
        buffer: &mut [u8],
        id: [u8; 12],
        client: usize,
        credentials: &Credentials,
    ) -> Result<usize, EncodeError> {
        let mut writer =
            MessageWriter::new(buffer, Class::Request, self.method(), TransactionId(id))?;
        match self {
            Self::Challenge | Self::Allocate => drop(writer.put(&RequestedTransport::UDP)?),
            Self::Bind { channel, peer } => {
                writer.put(&ChannelNumberAttribute(channel))?.put(&XorPeerAddress(peer))?;
            }
            Self::Permit { peer } => drop(writer.put(&XorPeerAddress(peer))?),
            Self::Refresh { lifetime } => drop(writer.put(&Lifetime(lifetime))?),
            Self::Binding => {}
        }
        if let (true, Some(key)) = (self.is_signed(), &credentials.key) {
            writer
                .put(&Username(&credentials.username))?
                .put(&Realm(&credentials.realm))?
                .put(&Nonce(credentials.nonce(client)))?;
            writer.integrity(key)?;
        }
        Ok(writer.finish())
    }
}
