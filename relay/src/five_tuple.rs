use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

pub use causeway_wire::Transport;

/// "(client's IP address, client's port, server IP address, server port, and transport protocol)"
/// (RFC 8656 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiveTuple {
    /// The client as the server sees it.
    pub client: SocketAddr,
    /// The server's address that the client reached.
    pub server: SocketAddr,
    /// The protocol between them.
    pub transport: Transport,
}

impl Hash for FiveTuple {
    /// Two whole words, with IPv6 five, instead of the derived dozen of writes: this is done for
    /// every datagram.
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
