//! Allocations (RFC 8656 §6): the record that data looks at, and the rest of it. Their table, their
//! relayed addresses, their life and their export are files of this folder.

pub(crate) mod binding;
pub(crate) mod changes;
pub(crate) mod lifetime;
pub(crate) mod record;
pub(crate) mod relays;
pub(crate) mod table;

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{Credential, Protection};
use causeway_wire::TransactionId;
use causeway_wire::attribute::AddressFamily;

use crate::allocation::relays::Relays;
use crate::five_tuple::{FiveTuple, Transport};
use crate::memory::interned::Name;
use crate::memory::moment::HORIZON;
use crate::peers::Peers;
use crate::peers::channel::IgnoredChannels;
use crate::request::refusals::Budget;

/// The application data that an allocation has relayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Number of datagrams from the client to peers.
    pub packets_to_peer: u64,
    /// Number of bytes in them.
    pub bytes_to_peer: u64,
    /// Number of datagrams from peers to the client.
    pub packets_to_client: u64,
    /// Number of bytes in them.
    pub bytes_to_client: u64,
}

/// The hot record of an allocation (RFC 8656 §6), all that the data path reads: two cache lines,
/// whatever its families.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Allocation {
    pub(crate) traffic: Traffic,
    pub(crate) peers: Peers,
    pub(crate) relays: Relays,
    /// Counts the uses of the slot; odd while it is in use.
    pub(crate) generation: u32,
    client: Client,
    /// The server's side of the 5-tuple.
    pub(crate) link: Name,
}

const _: () = assert!(size_of::<Allocation>() == 128);

/// The client's side of a 5-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Client {
    /// An IPv4 address is stored as IPv4-mapped IPv6.
    ip: [u8; 16],
    port: u16,
    family: AddressFamily,
    transport: Transport,
}

/// The server's side of a 5-tuple, with the zone of a link-local client: few, and shared by many
/// clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Link {
    server: SocketAddr,
    scope: u32,
}

/// The cold record of an allocation, which the data path does not read. `G` is the guard of its
/// quota.
pub(crate) struct Cold<G> {
    pub(crate) credential: Arc<Credential>,
    /// Held so that dropping the allocation, on whatever path, gives the quota back (H30).
    pub(crate) _quota: Option<G>,
    /// The Allocate request that made it, so that a retransmission finds its answer (H36).
    pub(crate) transaction: TransactionId,
    pub(crate) fingerprint: bool,
    /// The protection of that request.
    pub(crate) protection: Protection,
    /// The token of the port that was reserved with it: a retransmission gets the same.
    pub(crate) reservation: Option<[u8; 8]>,
    /// The Refresh request that deleted one of two relayed addresses, for its retransmissions.
    pub(crate) deletion: Option<TransactionId>,
    /// The relayed addresses that it has, or has had.
    pub(crate) relayed: [Option<Relayed>; 2],
    pub(crate) birth: Birth,
    /// The lifetime granted last, in milliseconds, at most [`HORIZON`].
    pub(crate) lifetime: u32,
    /// The second at which the wheel visits it next; an older entry of the wheel is void.
    pub(crate) visit: u32,
    /// Names its record in the directory, over restarts too.
    pub(crate) record: u64,
    /// The authenticator of the server under which the credential was last proven; `None` since it
    /// was restored from a record.
    pub(crate) shown_under: Option<NonZeroU32>,
    /// The refusals that the client may still be sent.
    pub(crate) refusals: Budget,
    /// The channels to denied peers, which carry nothing.
    pub(crate) ignored: IgnoredChannels,
    /// Whether it has changed since it was last exported for the directory.
    pub(crate) unwritten: bool,
    /// Whether a client waits for the answer to its Allocate.
    pub(crate) answer_pending: bool,
}

const _: () = assert!(size_of::<Cold<()>>() <= 128);

/// A relayed transport address, split into its host and its ports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relayed {
    pub(crate) host: Name,
    pub(crate) bound: u16,
    pub(crate) advertised: u16,
}

/// The host of relayed addresses: few, and shared by many allocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    pub(crate) bound: IpAddr,
    pub(crate) advertised: IpAddr,
}

/// When an allocation was made, in nanoseconds of the monotonic clock: negative if another server
/// made it before this one started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth(i64);

impl Birth {
    pub(crate) fn new(now: Duration, age: Duration) -> Self {
        Self(nanoseconds(now).saturating_sub(nanoseconds(age)))
    }

    /// The time since then.
    pub(crate) fn age(self, now: Duration) -> Duration {
        Duration::from_nanos(u64::try_from(nanoseconds(now).saturating_sub(self.0)).unwrap_or(0))
    }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

impl Allocation {
    /// An allocation that is not in the table yet.
    pub(crate) fn new(
        five_tuple: &FiveTuple,
        link: Name,
        relays: Relays,
        peers: Peers,
        traffic: Traffic,
    ) -> Self {
        Self { traffic, peers, relays, generation: 0, client: Client::of(five_tuple), link }
    }

    /// Whether it belongs to the 5-tuple; `link` is its own.
    #[inline]
    pub(crate) fn is_of(&self, five_tuple: &FiveTuple, link: &Link) -> bool {
        self.client == Client::of(five_tuple) && *link == Link::of(five_tuple)
    }

    /// The 5-tuple; `link` is its own.
    #[inline]
    pub(crate) fn five_tuple(&self, link: &Link) -> FiveTuple {
        let (ip, port) = (Ipv6Addr::from(self.client.ip), self.client.port);
        let client = match (self.client.family, ip.to_ipv4_mapped()) {
            (AddressFamily::Ipv4, Some(ip)) => SocketAddr::new(ip.into(), port),
            _ => SocketAddrV6::new(ip, port, 0, link.scope).into(),
        };
        FiveTuple { client, server: link.server, transport: self.client.transport }
    }

    /// The client's transport protocol.
    #[inline]
    pub(crate) fn transport(&self) -> Transport {
        self.client.transport
    }

    /// Whether it has a relayed address of the peer's family. An IPv4-mapped address is of neither
    /// family (H1).
    pub(crate) fn serves(&self, peer: &IpAddr) -> bool {
        let mapped = matches!(peer, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
        !mapped && self.relays.of_family(AddressFamily::of(peer)).is_some()
    }

    /// Drops permissions and channels whose family has no relayed address (RFC 8656 §8.1).
    pub(crate) fn drop_unserved(&mut self) {
        let relays = self.relays;
        let is_served = |ip: &IpAddr| relays.of_family(AddressFamily::of(ip)).is_some();
        self.peers.change(|peers| {
            peers.permissions.retain(is_served);
            peers.channels.retain(|channel| is_served(&channel.peer.ip()));
        });
    }
}

impl<G> Cold<G> {
    /// The lifetime that was granted last.
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_millis(self.lifetime.into())
    }
}

/// A lifetime as records keep it.
pub(crate) fn millis(lifetime: Duration) -> u32 {
    u32::try_from(lifetime.min(HORIZON).as_millis()).unwrap_or(u32::MAX)
}

impl Client {
    #[inline]
    fn of(five_tuple: &FiveTuple) -> Self {
        let ip = match five_tuple.client.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let (port, family) = (five_tuple.client.port(), AddressFamily::of(&five_tuple.client.ip()));
        Self { ip, port, family, transport: five_tuple.transport }
    }
}

impl Link {
    #[inline]
    pub(crate) fn of(five_tuple: &FiveTuple) -> Self {
        let scope = match five_tuple.client {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(client) => client.scope_id(),
        };
        Self { server: five_tuple.server, scope }
    }
}
