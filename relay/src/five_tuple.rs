use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// The transport protocol between client and server (RFC 8656 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// DTLS over UDP.
    Dtls,
}

impl Transport {
    /// Whether messages follow each other on a connection: ChannelData is then padded (RFC 8656 §12.5).
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// Its name as metrics and logs show it.
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

/// "(client's IP address, client's port, server IP address, server port, and transport protocol)" (RFC 8656 §6).
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
    /// A few whole words instead of the derived dozen of writes: this is done for every datagram.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ports = u64::from(self.client.port()) << 32 | u64::from(self.server.port()) << 8 | self.transport as u64;
        state.write_u64(ports);
        for ip in [self.client.ip(), self.server.ip()] {
            match ip {
                IpAddr::V4(ip) => state.write_u32(ip.to_bits()),
                IpAddr::V6(ip) => state.write_u128(ip.to_bits()),
            }
        }
    }
}
