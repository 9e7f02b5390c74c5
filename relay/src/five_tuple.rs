//! The 5-tuple that identifies an allocation, and its hash.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

pub use causeway_wire::Transport;

/// "(client's IP address, client's port, server IP address, server port, and transport protocol)"
/// (RFC 8656 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiveTuple {
    /// The address of the client as the server sees it.
    pub client: SocketAddr,
    /// The address of the server that the client reached.
    pub server: SocketAddr,
    /// The transport protocol between them.
    pub transport: Transport,
}

impl Hash for FiveTuple {
    /// Two words, or five with IPv6, instead of the dozen writes that `derive` makes: every
    /// datagram is hashed.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ports = u64::from(self.client.port()) << 16 | u64::from(self.server.port());
        match (self.client.ip(), self.server.ip()) {
            (IpAddr::V4(client), IpAddr::V4(server)) => {
                state.write_u64(u64::from(client.to_bits()) << 32 | ports);
                state.write_u64(u64::from(server.to_bits()) << 8 | self.transport as u64);
            }
            (client, server) => {
                state.write_u64(ports << 8 | self.transport as u64);
                state.write_u128(bits(client));
                state.write_u128(bits(server));
            }
        }
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}
