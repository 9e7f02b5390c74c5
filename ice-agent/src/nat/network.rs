//! The sockets that the tests use: the system's, or simulated ones in the tests of this module.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::tcp_probe;

/// Where sockets come from.
pub(super) trait Network {
    /// A UDP socket.
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
    /// Its address.
    ///
    /// # Errors
    /// The system's error.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Sends one datagram.
    ///
    /// # Errors
    /// The system's error.
    async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()>;

    /// Receives one datagram: its length and who sent it. Cancel safe.
    ///
    /// # Errors
    /// The system's error, perhaps for an earlier datagram.
    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
}

/// The network of this host.
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
