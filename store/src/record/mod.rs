//! The record of an allocation: a public, versioned format with types of its own, so that it does
//! not change when the server's insides do.

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

/// The name of a record: random, made with the allocation, and kept when the allocation is
/// restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub u64);

impl RecordId {
    /// A new name from the system's randomness.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 8];
        SystemRandom::new().fill(&mut bytes).expect("the operating system has randomness");
        Self(u64::from_be_bytes(bytes))
    }
}

impl fmt::Display for RecordId {
    /// 16 lower-case hexadecimal digits, as in the store's keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What the client talks to the server over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transport {
    /// UDP: the only one whose allocations can be restored.
    Udp = 1,
    /// TCP.
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
    /// The client, as the server sees it.
    pub client: SocketAddr,
    /// The listener's address and port.
    pub server: SocketAddr,
    /// The transport between them.
    pub transport: Transport,
}

/// A relayed transport address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayedAddress {
    /// Where its socket is bound.
    pub bound: SocketAddr,
    /// What the client is told and peers see.
    pub advertised: SocketAddr,
    /// When it ends, in Unix milliseconds. Version 1 has one end for both of a dual allocation.
    pub expires_at: u64,
}

/// A permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermissionRecord {
    /// The peer's address.
    pub peer: IpAddr,
    /// When it ends, in Unix milliseconds.
    pub expires_at: u64,
}

/// A channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Its number.
    pub number: u16,
    /// The peer.
    pub peer: SocketAddr,
    /// When it ends, in Unix milliseconds.
    pub expires_at: u64,
}

/// What was relayed, application data only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams from the client to peers.
    pub packets_to_peer: u64,
    /// Their bytes.
    pub bytes_to_peer: u64,
    /// Datagrams from peers to the client.
    pub packets_to_client: u64,
    /// Their bytes.
    pub bytes_to_client: u64,
}

/// An allocation, version 2: all that it needs to go on in another process. Times are of the wall
/// clock, since that is the one that a process leaves to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub id: RecordId,
    /// The client.
    pub five_tuple: FiveTuple,
    /// Who made it.
    pub credential: Credential,
    /// The transaction id of the Allocate request that made it.
    pub transaction: [u8; 12],
    /// The lifetime that was granted last; whole seconds are kept.
    pub lifetime: Duration,
    /// When it was made, in Unix milliseconds.
    pub created_at: u64,
    /// When it ends, in Unix milliseconds: with its last relayed address.
    pub expires_at: u64,
    /// Its relayed addresses: one, or two of different families.
    pub relayed: Vec<RelayedAddress>,
    /// Its permissions.
    pub permissions: Vec<PermissionRecord>,
    /// Its channels.
    pub channels: Vec<ChannelRecord>,
    /// What it has relayed.
    pub traffic: Traffic,
    /// The proxy that speaks for the client (PROXY protocol over UDP), at the address that we hear
    /// it from. Since version 2.
    pub proxy: Option<SocketAddr>,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RecordError {
    /// Written by a later release.
    #[error("record version {0} is unknown")]
    UnknownVersion(u8),
    /// Cut, or not a record.
    #[error("the record is too short")]
    Truncated,
    /// Sealed under another fleet key, moved from another name, or changed.
    #[error("the record's seal does not open: another fleet key, or a damaged record")]
    Seal,
    /// The seal opens, but what it holds is no record.
    #[error("the sealed text is malformed")]
    Malformed,
}
