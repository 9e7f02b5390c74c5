//! The record of an allocation: a public, versioned format with types of its own, so that it does
//! not change with the server's internals.

mod credential;
mod encoding;
mod reader;
mod seal;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

pub use credential::{Credential, KeyAlgorithm, LongTermKey};
pub use seal::Sealer;
pub(crate) use seal::{open_secret, seal_secret};

/// The id of a record: random, drawn with the allocation, and kept when the allocation is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub u64);

impl RecordId {
    /// Draws an id from the operating system's random numbers.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 8];
        SystemRandom::new().fill(&mut bytes).expect("the operating system has randomness");
        Self(u64::from_be_bytes(bytes))
    }
}

impl fmt::Display for RecordId {
    /// Writes 16 lower-case hexadecimal digits, as in the store's keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The transport between a client and the server, by its number in the record format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transport {
    /// Plain UDP: the only transport whose allocations can be restored.
    Udp = 1,
    /// Plain TCP.
    Tcp = 2,
    /// TLS over TCP.
    Tls = 3,
    /// DTLS over UDP.
    Dtls = 4,
}

impl Transport {
    /// Its name in accounts and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Dtls => "dtls",
        }
    }
}

/// The client's 5-tuple (RFC 8656 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// Transport address of the client, as the server sees it.
    pub client: SocketAddr,
    /// Address and port of the listener.
    pub server: SocketAddr,
    /// The transport between them.
    pub transport: Transport,
}

/// A relayed transport address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayedAddress {
    /// Address that the socket is bound to.
    pub bound: SocketAddr,
    /// Address that the client is told and peers see.
    pub advertised: SocketAddr,
    /// Expiry, in Unix milliseconds. Version 1 has one expiry for both addresses of a dual
    /// allocation.
    pub expires_at: u64,
}

/// A permission of an allocation (RFC 8656 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermissionRecord {
    /// IP address of the peer.
    pub peer: IpAddr,
    /// Expiry, in Unix milliseconds.
    pub expires_at: u64,
}

/// A channel of an allocation (RFC 8656 §12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelRecord {
    /// The channel number.
    pub number: u16,
    /// Transport address of the peer.
    pub peer: SocketAddr,
    /// Expiry, in Unix milliseconds.
    pub expires_at: u64,
}

/// Counters of relayed application data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams from the client to peers.
    pub packets_to_peer: u64,
    /// Bytes of application data from the client to peers.
    pub bytes_to_peer: u64,
    /// Datagrams from peers to the client.
    pub packets_to_client: u64,
    /// Bytes of application data from peers to the client.
    pub bytes_to_client: u64,
}

/// An allocation, version 2: all data that it needs to continue in another process. Times are of
/// the wall clock, the only clock that two processes share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Id of the record.
    pub id: RecordId,
    /// The 5-tuple of the client.
    pub five_tuple: FiveTuple,
    /// The user who owns the allocation.
    pub credential: Credential,
    /// Transaction id of the Allocate request that created the allocation.
    pub transaction: [u8; 12],
    /// Lifetime that was granted last, in whole seconds.
    pub lifetime: Duration,
    /// Time of creation, in Unix milliseconds.
    pub created_at: u64,
    /// Expiry of the last relayed address, in Unix milliseconds.
    pub expires_at: u64,
    /// The relayed addresses: one, or two of different families.
    pub relayed: Vec<RelayedAddress>,
    /// Permissions of the allocation.
    pub permissions: Vec<PermissionRecord>,
    /// Channels of the allocation.
    pub channels: Vec<ChannelRecord>,
    /// Application data relayed so far.
    pub traffic: Traffic,
    /// Source address of the proxy that forwards the client's datagrams (PROXY protocol over UDP).
    /// Since version 2.
    pub proxy: Option<SocketAddr>,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RecordError {
    /// A later release wrote it.
    #[error("record version {0} is unknown")]
    UnknownVersion(u8),
    /// It is truncated, or not a record.
    #[error("the record is too short")]
    Truncated,
    /// It was sealed under another fleet key, belongs to another node or id, or was altered.
    #[error("the seal does not open: the fleet key is another one, or the record is damaged")]
    Seal,
    /// The seal opens, but the content is not a record.
    #[error("the sealed record is malformed")]
    Malformed,
}
