//! The addresses of a datagram: where it came from, and where one goes.

use std::net::{IpAddr, SocketAddr};

use crate::keys::{AssociationKey, SocketKey};

/// Where a datagram came from, and through which socket, association and proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The socket that received it.
    pub socket: SocketKey,
    /// The number that the socket was registered with, or that of the association if the datagram
    /// came through one.
    pub tag: u64,
    /// The sender. Through a proxy: the client that the proxy names.
    pub source: SocketAddr,
    /// The destination address with the socket's port, also on a wildcard socket. Through a proxy:
    /// the address that the client sent to.
    pub destination: SocketAddr,
    /// DSCP (upper six bits) and ECN (lower two). 0 if the socket does not report them.
    pub tos: u8,
    /// The DTLS association that decrypted it.
    pub association: Option<AssociationKey>,
    /// The trusted proxy that forwarded it. Replies must go there.
    pub via: Option<SocketAddr>,
    /// The address of this host that it arrived at: that of `destination`, unless a proxy forwarded
    /// it.
    pub local: IpAddr,
}

impl Arrival {
    /// The way back, with no traffic class: from the address that the datagram was sent to, to its
    /// source or to the proxy. For plain datagrams only: an association's are answered by
    /// [`Io::reply_secure`](super::Io::reply_secure).
    pub fn reply(&self) -> Route {
        Route {
            socket: self.socket,
            to: self.via.unwrap_or(self.source),
            from: Some(self.local),
            tos: 0,
            dont_fragment: false,
        }
    }
}

/// How a datagram leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The socket that sends it.
    pub socket: SocketKey,
    /// The destination.
    pub to: SocketAddr,
    /// The source address, if the socket is bound to the wildcard address and the kernel shall not
    /// choose. Otherwise ignored.
    pub from: Option<IpAddr>,
    /// DSCP (upper six bits) and ECN (lower two).
    pub tos: u8,
    /// Whether the DF bit is set; over IPv6: whether this host, too, must not fragment it. A
    /// datagram that is too long is then dropped, and reported through
    /// [`Service::icmp`](super::Service::icmp) if the socket asked for errors.
    pub dont_fragment: bool,
}
