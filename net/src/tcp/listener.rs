//! A TCP listener, one for each worker on the same address and port.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel completes and holds until they are accepted.
const BACKLOG: i32 = 1024;

/// A bound, non-blocking TCP listener of one address family.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    local: SocketAddr,
}

impl Listener {
    /// Binds `local` and listens. Several workers may bind the same address and port; an IPv6 listener takes no IPv4.
    ///
    /// # Errors
    /// What the kernel says: the port is in use, the address is not ours, no descriptor is left.
    pub fn bind(local: SocketAddr) -> io::Result<Self> {
        let (socket, local) = bound(local, true)?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket, local })
    }

    /// Whether nobody listens on `local`; the port that the kernel chose if 0 was asked for. No connection gets lost by it: it does
    /// not listen.
    pub(crate) fn probe(local: SocketAddr) -> io::Result<SocketAddr> {
        Ok(bound(local, false)?.1)
    }

    /// The address it is bound to, with the port that the kernel chose if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Takes one connection: its descriptor, its peer's address and its own.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub(crate) fn accept(&self) -> io::Result<(OwnedFd, SocketAddr, SocketAddr)> {
        let (socket, peer) = self.socket.accept_raw()?;
        socket.set_cloexec(true)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let local = if self.local.ip().is_unspecified() { socket.local_addr()?.as_socket() } else { Some(self.local) };
        match (peer.as_socket(), local) {
            (Some(peer), Some(local)) => Ok((socket.into(), peer, local)),
            _ => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

fn bound(local: SocketAddr, reuse_port: bool) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(local), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the connections of the last run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.bind(&local.into())?;
    let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((socket, local))
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
