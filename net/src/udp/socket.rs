//! A bound UDP socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::options::{self, BufferSizes, UdpOptions};

/// A bound, non-blocking UDP socket of one address family.
#[derive(Debug)]
pub struct UdpSocket {
    fd: OwnedFd,
    local: SocketAddr,
    wildcard: bool,
}

impl UdpSocket {
    /// Binds `local`. A wildcard address reports where each datagram was sent to, and answers leave from there; an IPv6 one takes
    /// no IPv4.
    ///
    /// # Errors
    /// What the kernel says: the port is in use, the address is not ours, no descriptor is left.
    pub fn bind(local: SocketAddr, options: &UdpOptions) -> io::Result<Self> {
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(local), kind, Some(Protocol::UDP))?;
        if local.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        options::set_ip_options(&socket, local.is_ipv6(), local.ip().is_unspecified(), options)?;
        options::set_coalescing(&socket);
        options::set_buffers(&socket, options)?;
        socket.bind(&local.into())?;
        let local = match local.port() {
            0 => socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?,
            _ => local,
        };
        Ok(Self { fd: socket.into(), local, wildcard: local.ip().is_unspecified() })
    }

    /// The address it is bound to, with the port that the kernel chose if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The buffers that it got; 0 where the kernel does not say.
    pub fn buffer_sizes(&self) -> BufferSizes {
        let socket = SockRef::from(&self.fd);
        let ours = |booked: io::Result<usize>| booked.unwrap_or(0) / 2;
        BufferSizes { receive: ours(socket.recv_buffer_size()), send: ours(socket.send_buffer_size()) }
    }

    /// Whether it takes what is sent to any address of the host.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// How many datagrams the kernel has dropped because the receive buffer was full, since the socket was bound.
    ///
    /// # Errors
    /// On kernels before 4.12, which cannot say.
    pub fn receive_queue_drops(&self) -> io::Result<u64> {
        const WORDS: usize = 9; // SK_MEMINFO_VARS; asked for at scrape time, it costs nothing per packet as SO_RXQ_OVFL would
        const DROPS: usize = 8; // SK_MEMINFO_DROPS
        let mut info = [0u32; WORDS];
        let mut len = size_of_val(&info) as libc::socklen_t;
        // SAFETY: the kernel writes at most `len` bytes to `info`, and the written length to `len`.
        let result =
            unsafe { libc::getsockopt(self.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, info.as_mut_ptr().cast(), &raw mut len) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(u64::from(info[DROPS]))
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl From<UdpSocket> for OwnedFd {
    fn from(socket: UdpSocket) -> Self {
        socket.fd
    }
}
