use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use causeway_auth::LimiterSettings;
use causeway_wire::ChannelRange;
use causeway_wire::attribute::AddressFamily;

use crate::peers::permission::ChannelPermission;
use crate::peers::policy::{DeniedPeers, PeerPolicy};

/// What a server is told by its operator.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which worker this is; it is part of each [`crate::AllocationId`].
    pub worker: u16,
    /// The families that relayed addresses can have.
    pub families: Families,
    /// The channel numbers that are taken.
    pub channels: ChannelRange,
    /// How long a peer with a channel is permitted (H46).
    pub channel_permission: ChannelPermission,
    /// Numbers.
    pub limits: Limits,
    /// Which peers may be reached.
    pub policy: PeerPolicy,
    /// What a client is answered that asks for one of the others.
    pub denied: DeniedPeers,
    /// Whether changes are noted for a directory that outlives the process.
    pub track_changes: bool,
    /// How much is answered to datagrams whose source may be forged (H11); unlimited if `None`.
    pub unauthenticated: Option<LimiterSettings>,
    /// What this host's addresses are from outside, where that differs: (own, outer). Clients of
    /// RFC 3489 are told in SOURCE-ADDRESS.
    pub external: Vec<(IpAddr, IpAddr)>,
    /// SOFTWARE in answers to authenticated Allocate and Refresh requests; none unless it is set.
    pub software: Option<Box<str>>,
}

impl Config {
    /// What an address of this host is from outside.
    pub(crate) fn outside(&self, own: SocketAddr) -> SocketAddr {
        let named = self.external.iter().find(|(bound, _)| *bound == own.ip());
        named.map_or(own, |(_, outer)| SocketAddr::new(*outer, own.port()))
    }
}

/// The families that there are relay addresses of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
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

/// Numbers that bound what clients can hold (H33, H35).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The lifetime without, or with a shorter, LIFETIME: 600 s (RFC 8656 §6).
    pub default_lifetime: Duration,
    /// The longest lifetime: at most 3600 s is recommended (RFC 8656 §7.2).
    pub max_lifetime: Duration,
    /// Permissions of one allocation; beyond it 508.
    pub permissions_per_allocation: usize,
    /// Channels of one allocation; beyond it 508.
    pub channels_per_allocation: usize,
    /// Allocations of one source prefix at this worker; beyond it 486.
    pub allocations_per_prefix: u32,
    /// Allocations of this worker; beyond it 508.
    pub allocations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            default_lifetime: Duration::from_secs(600),
            max_lifetime: Duration::from_secs(3600),
            permissions_per_allocation: 256,
            channels_per_allocation: 256,
            allocations_per_prefix: 4096,
            allocations: 65_536,
        }
    }
}
