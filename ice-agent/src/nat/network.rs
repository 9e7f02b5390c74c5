//! The sockets of the NAT tests: the system's, or simulated ones in unit tests.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::tcp_probe;

/// A source of UDP sockets.
pub(super) trait Network {
    /// The type of its sockets.
    type Socket: Datagrams;

    /// Opens a socket at a free port of this host's address.
    ///
    /// # Errors
    /// The system's error.
    async fn open(&self, local: IpAddr) -> io::Result<Self::Socket>;

    /// Whether a server answers a Binding request over TCP.
    async fn answers_over_tcp(&self, server: SocketAddr, timeout: Duration) -> bool;
}

/// A UDP socket.
pub(super) trait Datagrams {
    /// The local address.
    ///
    /// # Errors
    /// The system's error.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Sends one datagram.
    ///
    /// # Errors
    /// The system's error.
    async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()>;

    /// Receives one datagram and returns its length and source. Cancel safe.
    ///
    /// # Errors
    /// The system's error; it may be about an earlier datagram.
    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
}

/// The network of this host: real sockets.
#[derive(Debug, Clone, Copy)]
pub(super) struct System;

impl Network for System {
    type Socket = UdpSocket;

    async fn open(&self, local: IpAddr) -> io::Result<UdpSocket> {
        UdpSocket::bind((local, 0)).await
    }

    async fn answers_over_tcp(&self, server: SocketAddr, timeout: Duration) -> bool {
        tcp_probe::answers(server, timeout).await
    }
}

impl Datagrams for UdpSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }

    async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        Self::send_to(self, datagram, to).await.map(|_| ())
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Self::recv_from(self, buffer).await
    }
}
