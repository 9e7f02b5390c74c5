//! The addresses of the laboratory. Peers have public ones: documentation ranges are denied as
//! peers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where the server listens, IPv4.
pub const LISTENER: SocketAddr = v4([9, 9, 9, 9], 3478);
/// Where the server listens, IPv6.
pub const LISTENER_V6: SocketAddr = v6(0x2a01_0009, 9, 3478);
/// Where relayed sockets are bound, IPv4: a private address behind a 1:1 NAT.
pub const RELAY_BOUND: IpAddr = v4([10, 0, 0, 9], 0).ip();
/// The relayed address that clients are told and peers see, IPv4.
pub const RELAY: IpAddr = v4([11, 0, 0, 9], 0).ip();
/// The relayed address, IPv6: bound and advertised are the same.
pub const RELAY_V6: IpAddr = v6(0x2a01_0011, 9, 0).ip();

/// A peer at `20.0.0.host`.
#[must_use]
pub const fn peer(host: u8, port: u16) -> SocketAddr {
    v4([20, 0, 0, host], port)
}

/// A peer at `2a02:20::host`.
#[must_use]
pub const fn peer_v6(host: u16, port: u16) -> SocketAddr {
    v6(0x2a02_0020, host, port)
}

/// A client at `192.0.2.host`.
#[must_use]
pub const fn client(host: u8, port: u16) -> SocketAddr {
    v4([192, 0, 2, host], port)
}

/// A client at `2001:db8::host`.
#[must_use]
pub const fn client_v6(host: u16, port: u16) -> SocketAddr {
    v6(0x2001_0db8, host, port)
}

const fn v4(octets: [u8; 4], port: u16) -> SocketAddr {
    let [a, b, c, d] = octets;
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

const fn v6(prefix: u32, host: u16, port: u16) -> SocketAddr {
    SocketAddr::new(
        IpAddr::V6(Ipv6Addr::new((prefix >> 16) as u16, prefix as u16, 0, 0, 0, 0, 0, host)),
        port,
    )
}
