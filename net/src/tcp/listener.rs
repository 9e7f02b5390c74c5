//! A TCP listener, one for each worker on the same address and port.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::address::{RAW_ADDRESS_LEN, RawAddress, canonical, set_freebind};

/// Maximum number of connections that the kernel completes and holds until they are accepted.
const BACKLOG: i32 = 1024;

/// Maximum number of unsent bytes of a stream that the kernel takes. Without it, the kernel would
/// take megabytes before [`MAX_QUEUE`](super::MAX_QUEUE) counts, and data that is late by that much
/// is useless in a call.
static UNSENT: libc::c_int = 32 << 10;

/// A bound, non-blocking TCP listener of one address family.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    local: SocketAddr,
}

impl Listener {
    /// Binds `local` and listens. Several workers may bind the same address and port; an IPv6
    /// listener takes no IPv4.
    ///
    /// # Errors
    /// The kernel's: the port is in use, the address is not this host's, no descriptor is left.
    pub fn bind(local: SocketAddr) -> io::Result<Self> {
        Self::bind_freely(local, false)
    }

    /// The same; with `freebind` also an address that this host does not have, yet or at the moment
    /// (IP_FREEBIND).
    pub(crate) fn bind_freely(local: SocketAddr, freebind: bool) -> io::Result<Self> {
        let (socket, local) = bound(local, freebind, true)?;
        // What it accepts inherits both.
        socket.set_tcp_nodelay(true)?;
        limit_unsent(&socket);
        socket.listen(BACKLOG)?;
        Ok(Self { socket, local })
    }

    /// Checks that no other socket listens on `local`. Returns it with the port that the kernel
    /// chose if 0 was asked for. It takes no connection: it does not listen itself.
    pub(crate) fn probe(local: SocketAddr, freebind: bool) -> io::Result<SocketAddr> {
        Ok(bound(local, freebind, false)?.1)
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
        let mut name = RawAddress::EMPTY;
        let mut len = RAW_ADDRESS_LEN;
        // SAFETY: the kernel writes at most `len` bytes to `name`, and the written length to `len`.
        let fd = unsafe {
            libc::accept4(
                self.socket.as_raw_fd(),
                (&raw mut name).cast(),
                &raw mut len,
                libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and has no other owner.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let local = if self.local.ip().is_unspecified() {
            SockRef::from(&fd).local_addr()?.as_socket().map(canonical)
        } else {
            Some(self.local)
        };
        match (name.read(), local) {
            (Some(peer), Some(local)) => Ok((fd, peer, local)),
            _ => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

/// Binds a blocking TCP listener of the standard library to `local`, which this host need not have
/// (IP_FREEBIND).
///
/// # Errors
/// The kernel's: the port is in use, no descriptor is left.
pub fn bind_freely(local: SocketAddr) -> io::Result<std::net::TcpListener> {
    let (socket, _) = bound(local, true, false)?;
    socket.set_nonblocking(false)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn limit_unsent(socket: &Socket) {
    let (fd, len) = (socket.as_raw_fd(), size_of_val(&UNSENT) as libc::socklen_t);
    // SAFETY: the option's value is one static `int`. A kernel that refuses it
    // queues more.
    unsafe {
        libc::setsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const UNSENT).cast(),
            len,
        )
    };
}

fn bound(local: SocketAddr, freebind: bool, reuse_port: bool) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(
        Domain::for_address(local),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the connections of the last run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    if freebind {
        set_freebind(&socket, local)?;
    }
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

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn what_is_accepted_sends_at_once_and_leaves_little_unsent_in_the_kernel() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(listener.local_addr()).unwrap();
        let (fd, ..) =
            listener.accept().expect("on loopback it is there once the client is connected");
        assert!(SockRef::from(&fd).tcp_nodelay().unwrap());
        let (mut unsent, mut len): (libc::c_int, _) =
            (0, size_of::<libc::c_int>() as libc::socklen_t);
        // SAFETY: the kernel writes one `int` at the most.
        let known = unsafe {
            libc::getsockopt(
                fd.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_NOTSENT_LOWAT,
                (&raw mut unsent).cast(),
                &raw mut len,
            )
        };
        assert_eq!((known, unsent), (0, UNSENT));
    }
}
