//! The configuration of one server, and the limits that bound what clients can hold.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use causeway_auth::LimiterSettings;
use causeway_wire::ChannelRange;
use causeway_wire::attribute::AddressFamily;

use crate::peers::permission::ChannelPermission;
use crate::peers::policy::{DeniedPeers, PeerPolicy};

/// The configuration of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The index of this worker: part of each [`crate::AllocationId`].
    pub worker: u16,
    /// The address families that relayed addresses can have.
    pub families: Families,
    /// The range of valid channel numbers.
    pub channels: ChannelRange,
    /// How long a peer with a channel is permitted (H46).
    pub channel_permission: ChannelPermission,
    /// The maximum of everything that clients can hold.
    pub limits: Limits,
    /// The peers that may be reached.
    pub policy: PeerPolicy,
    /// The response to a request for another peer.
    pub denied: DeniedPeers,
    /// Whether to note changes for a directory that outlives the process.
    pub track_changes: bool,
    /// How much may be sent in response to datagrams whose source may be forged (H11); `None`:
    /// without limit.
    pub unauthenticated: Option<LimiterSettings>,
    /// Pairs of (own, outer) address, for the addresses of this host that differ as seen from
    /// outside. Clients of RFC 3489 get the outer one in SOURCE-ADDRESS.
    pub external: Vec<(IpAddr, IpAddr)>,
    /// The value of SOFTWARE in responses to authenticated Allocate and Refresh requests; `None`:
    /// no SOFTWARE.
    pub software: Option<Box<str>>,
}

impl Config {
    /// An address of this host as it is seen from outside.
    pub(crate) fn outside(&self, own: SocketAddr) -> SocketAddr {
        let named = self.external.iter().find(|(bound, _)| *bound == own.ip());
        named.map_or(own, |(_, outer)| SocketAddr::new(*outer, own.port()))
    }
}

/// The address families for which the host has relay addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// Whether it has one of IPv4.
    pub ipv4: bool,
    /// Whether it has one of IPv6.
    pub ipv6: bool,
}

impl Families {
    pub(crate) fn has(self, family: AddressFamily) -> bool {
        match family {
            AddressFamily::Ipv4 => self.ipv4,
            AddressFamily::Ipv6 => self.ipv6,
        }
    }
}

/// The limits on what clients can hold (H33, H35).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The lifetime when LIFETIME is absent or shorter: 600 s (RFC 8656 §6).
    pub default_lifetime: Duration,
    /// Maximum lifetime: at most 3600 s is recommended (RFC 8656 §7.2).
    pub max_lifetime: Duration,
    /// Maximum number of permissions of one allocation; beyond it 508.
    pub permissions_per_allocation: usize,
    /// Maximum number of channels of one allocation; beyond it 508.
    pub channels_per_allocation: usize,
    /// Maximum number of allocations of one source prefix at this worker; beyond it 486.
    pub allocations_per_prefix: u32,
    /// Maximum number of allocations of this worker; beyond it 508.
    pub allocations: usize,
}
