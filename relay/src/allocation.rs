use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::Credential;
use causeway_wire::TransactionId;
use causeway_wire::attribute::AddressFamily;

use crate::channel::Channels;
use crate::five_tuple::FiveTuple;
use crate::permission::Permissions;

/// A relayed transport address (RFC 8656 §2), with the address that its socket is bound to: they differ behind a 1:1 NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayedTransportAddress {
    /// Where the socket is bound.
    pub bound: SocketAddr,
    /// What the client is told and peers see.
    pub advertised: SocketAddr,
}

/// What an allocation relayed, application data only.
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

/// An allocation (RFC 8656 §6). `G` is what its quota was granted by.
pub(crate) struct Allocation<G> {
    pub(crate) five_tuple: FiveTuple,
    pub(crate) expires: Duration,
    /// One relayed address a family; an entry without an address is being bound.
    pub(crate) relays: [Relay; 2],
    pub(crate) permissions: Permissions,
    pub(crate) channels: Channels,
    pub(crate) traffic: Traffic,
    /// What no datagram of data looks at.
    pub(crate) cold: Box<Cold<G>>,
}

/// A place for a relayed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relay {
    Absent,
    Binding(AddressFamily),
    Bound(RelayedTransportAddress),
}

pub(crate) struct Cold<G> {
    pub(crate) credential: Arc<Credential>,
    /// Held so that dropping the allocation, on whatever path, gives the quota back (H30).
    pub(crate) _quota: G,
    /// The Allocate request that made it, so that a retransmission finds its answer (H36).
    pub(crate) transaction: TransactionId,
    pub(crate) fingerprint: bool,
    pub(crate) created: Duration,
    /// How old it was when this server took it over: its clock may be younger than the allocation.
    pub(crate) age_before: Duration,
    pub(crate) lifetime: Duration,
    /// The second at which the wheel visits it next; an older entry of the wheel is void.
    pub(crate) visit: u64,
    /// Names its record in the directory, over restarts too.
    pub(crate) record: u64,
    /// Whether it has changed since it was last exported for the directory.
    pub(crate) unwritten: bool,
    /// Whether a client waits for the answer to its Allocate.
    pub(crate) answer_pending: bool,
}

impl<G> Allocation<G> {
    /// The relayed address of the family of `peer`, with its index.
    pub(crate) fn relay_for(&self, peer: &IpAddr) -> Option<(u8, RelayedTransportAddress)> {
        self.bound().find(|(_, relay)| relay.bound.is_ipv4() == peer.is_ipv4())
    }

    /// The bound relayed addresses, with their indices.
    pub(crate) fn bound(&self) -> impl Iterator<Item = (u8, RelayedTransportAddress)> + '_ {
        (0u8..).zip(&self.relays).filter_map(|(index, relay)| match relay {
            Relay::Bound(address) => Some((index, *address)),
            Relay::Absent | Relay::Binding(_) => None,
        })
    }

    /// Whether every relayed address that was asked for is there.
    pub(crate) fn is_ready(&self) -> bool {
        !self.relays.iter().any(|relay| matches!(relay, Relay::Binding(_)))
    }

    /// How long it has lived.
    pub(crate) fn age(&self, now: Duration) -> Duration {
        self.cold.age_before + now.saturating_sub(self.cold.created)
    }

    /// The client's time-to-expiry.
    pub(crate) fn time_to_expiry(&self, now: Duration) -> Duration {
        self.expires.saturating_sub(now)
    }
}
