use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{Credential, Protection};
use causeway_wire::TransactionId;
use causeway_wire::attribute::AddressFamily;

use crate::channel::Channels;
use crate::effect::Advertised;
use crate::five_tuple::FiveTuple;
use crate::permission::Permissions;
use crate::relays::Relays;

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
    pub(crate) relays: Relays,
    pub(crate) permissions: Permissions,
    pub(crate) channels: Channels,
    pub(crate) traffic: Traffic,
    /// What no datagram of data looks at.
    pub(crate) cold: Box<Cold<G>>,
}

pub(crate) struct Cold<G> {
    pub(crate) credential: Arc<Credential>,
    /// Held so that dropping the allocation, on whatever path, gives the quota back (H30).
    pub(crate) _quota: G,
    /// The Allocate request that made it, so that a retransmission finds its answer (H36).
    pub(crate) transaction: TransactionId,
    pub(crate) fingerprint: bool,
    /// How it was protected.
    pub(crate) protection: Protection,
    /// The token of the port that was reserved with it, for the same reason.
    pub(crate) reservation: Option<[u8; 8]>,
    /// The Refresh request that deleted one of two relayed addresses, for the same reason.
    pub(crate) deletion: Option<TransactionId>,
    /// The relayed addresses that it has had, as they were advertised.
    pub(crate) advertised: Advertised,
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
    /// How long it has lived.
    pub(crate) fn age(&self, now: Duration) -> Duration {
        self.cold.age_before + now.saturating_sub(self.cold.created)
    }

    /// The time-to-expiry of the relayed address that expires last.
    pub(crate) fn time_to_expiry(&self, now: Duration) -> Duration {
        self.relays.last_expiry().saturating_sub(now)
    }

    /// Notes a relayed address as one that it has had.
    pub(crate) fn note_advertised(&mut self, advertised: SocketAddr) {
        self.cold.advertised.push(advertised);
        self.cold.advertised.sort_unstable_by_key(SocketAddr::is_ipv6);
    }

    /// Drops permissions and channels that no relayed address serves (RFC 8656 §8.1).
    pub(crate) fn drop_unserved(&mut self) {
        let relays = &self.relays;
        self.permissions.retain(|peer| relays.of_family(AddressFamily::of(peer)).is_some());
        self.channels.retain(|channel| relays.of_family(AddressFamily::of(&channel.peer.ip())).is_some());
    }
}
