//! A bound UDP socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::address;

use super::options::{self, BufferSizes, DontFragment, Fragments, UdpOptions};

/// A bound, non-blocking UDP socket of one address family.
///
/// It is one descriptor, or two: a socket of a steered group over IPv4 has a second one for small
/// datagrams ([`bind_udp_group`](crate::steering::bind_udp_group)).
#[derive(Debug)]
pub struct UdpSocket {
    // Dropped first: as the last of its group it leaves the other sockets' indexes as they are.
    send_only: Option<OwnedFd>,
    fd: OwnedFd,
    local: SocketAddr,
    wildcard: bool,
    home: Fragments,
}

impl UdpSocket {
    /// Binds `local`. A wildcard address reports the destination of each datagram, from which
    /// replies leave; an IPv6 address takes no IPv4.
    ///
    /// # Errors
    /// The kernel's: the port is in use, the address is not this host's, no descriptor is left.
    pub fn bind(local: SocketAddr, options: &UdpOptions) -> io::Result<Self> {
        Self::bind_after(local, options, |_| {})
    }

    /// The same, but all that arrives is dropped until [`stop_dropping`](Self::stop_dropping).
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub(crate) fn bind_dropping(local: SocketAddr, options: &UdpOptions) -> io::Result<Self> {
        Self::bind_after(local, options, options::drop_arrivals)
    }

    /// Receives from now on, after [`bind_dropping`](Self::bind_dropping).
    ///
    /// # Errors
    /// No error is known: the filter is there.
    pub(crate) fn stop_dropping(&self) -> io::Result<()> {
        options::stop_dropping(self.as_raw_fd())
    }

    fn bind_after(
        local: SocketAddr,
        options: &UdpOptions,
        prepare: impl FnOnce(&Socket),
    ) -> io::Result<Self> {
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
        prepare(&socket);
        if options.freebind {
            address::set_freebind(&socket, local)?;
        }
        socket.bind(&local.into())?;
        let local = match local.port() {
            0 => socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?,
            _ => local,
        };
        let home = Fragments::at_bind(local.is_ipv6(), options);
        Ok(Self {
            send_only: None,
            fd: socket.into(),
            local,
            wildcard: local.ip().is_unspecified(),
            home,
        })
    }

    /// Adds a second socket on the same address, which sends small datagrams with DF set and
    /// receives nothing: its group must be steered by a program that never chooses it. Nothing is
    /// done with IPv6, or if `options` never set DF.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub(crate) fn add_send_only(&mut self, options: &UdpOptions) -> io::Result<()> {
        if self.local.is_ipv6() || options.dont_fragment == DontFragment::Never {
            return Ok(());
        }
        let socket =
            Socket::new(Domain::IPV4, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
        socket.set_reuse_port(true)?;
        options::set_fragments(socket.as_raw_fd(), false, Fragments::Needless)?;
        // The kernel raises 1 to its minimum.
        options::set_buffers(&socket, &UdpOptions { receive_buffer: 1, ..*options })?;
        if options.freebind {
            address::set_freebind(&socket, self.local)?;
        }
        socket.bind(&self.local.into())?;
        self.send_only = Some(socket.into());
        Ok(())
    }

    /// The descriptor from which small datagrams leave, if it is not the socket's own.
    pub(crate) fn send_only(&self) -> Option<RawFd> {
        self.send_only.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Whether what it sends may be fragmented, as set at bind.
    pub(crate) fn home(&self) -> Fragments {
        self.home
    }

    /// The address it is bound to, with the port that the kernel chose if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The buffers that the kernel gave; 0 where it does not tell.
    pub fn buffer_sizes(&self) -> BufferSizes {
        let socket = SockRef::from(&self.fd);
        let ours = |booked: io::Result<usize>| booked.unwrap_or(0) / 2;
        BufferSizes {
            receive: ours(socket.recv_buffer_size()),
            send: ours(socket.send_buffer_size()),
        }
    }

    /// Whether it is bound to the wildcard address.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// How many datagrams the kernel has dropped because the receive buffer was full, since the
    /// socket was bound.
    ///
    /// # Errors
    /// The kernel is older than 4.12, and cannot tell.
    pub fn receive_queue_drops(&self) -> io::Result<u64> {
        // SK_MEMINFO_VARS. Read at scrape time, it costs nothing per packet, as SO_RXQ_OVFL would.
        const WORDS: usize = 9;
        const DROPS: usize = 8; // SK_MEMINFO_DROPS
        let mut info = [0u32; WORDS];
        let mut len = size_of_val(&info) as libc::socklen_t;
        // SAFETY: the kernel writes at most `len` bytes to `info`, and the written length to `len`.
        let result = unsafe {
            libc::getsockopt(
                self.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                info.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
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
