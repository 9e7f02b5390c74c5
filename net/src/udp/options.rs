//! The options of a UDP socket.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};

/// The options with which a UDP socket is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpOptions {
    /// Whether several workers bind the same address and port (SO_REUSEPORT). Never for a relayed
    /// socket: two allocations would share it.
    pub reuse_port: bool,
    /// Wanted receive buffer in bytes, as an application counts (the kernel reserves twice as
    /// much). 0: the system's default.
    pub receive_buffer: usize,
    /// Wanted send buffer in bytes. 0: the system's default.
    pub send_buffer: usize,
    /// Whether the DSCP and ECN bits of what arrives are reported.
    pub receive_tos: bool,
    /// Whether ICMP errors are queued, each with the peer that it is about.
    pub receive_errors: bool,
    /// Which IPv4 datagrams leave with DF set.
    pub dont_fragment: DontFragment,
    /// Whether an address can be bound that this host does not have, yet or at the moment
    /// (IP_FREEBIND).
    pub freebind: bool,
}

/// The IPv4 datagrams that leave with DF set, beside those that ask for it
/// ([`Route::dont_fragment`](crate::Route::dont_fragment)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DontFragment {
    /// Datagrams of at most 1,280 bytes with their IP header. They fit every path in practice, and
    /// the kernel need not choose an identification for them, which is a tenth of the cost of a
    /// datagram. Larger ones may be fragmented.
    #[default]
    Small,
    /// No datagram.
    Never,
}

/// Maximum length of a datagram that leaves with DF set, in bytes: 1,280 without the headers of
/// IPv4 and UDP.
pub(super) const SMALL: usize = 1_280 - 20 - 8;

impl UdpOptions {
    /// A listener of each worker: buffers of 4 MiB.
    pub const LISTENER: Self = Self {
        reuse_port: true,
        receive_buffer: 4 << 20,
        send_buffer: 4 << 20,
        receive_tos: true,
        receive_errors: false,
        dont_fragment: DontFragment::Small,
        freebind: false,
    };

    /// A relayed transport address: 256 KiB for what peers send in one turn, ICMP errors reported.
    /// The system's default send buffer holds what is sent in one turn.
    pub const RELAYED: Self = Self {
        reuse_port: false,
        receive_buffer: 256 << 10,
        send_buffer: 0,
        receive_tos: true,
        receive_errors: true,
        dont_fragment: DontFragment::Small,
        freebind: false,
    };
}

/// The buffers that a socket got: `net.core.rmem_max` and `wmem_max` cap what an unprivileged
/// process asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferSizes {
    /// Receive buffer in bytes.
    pub receive: usize,
    /// Send buffer in bytes.
    pub send: usize,
}

/// Sets the buffers, past the system's cap where the process may.
pub(super) fn set_buffers(socket: &Socket, options: &UdpOptions) -> io::Result<()> {
    let wanted = options.receive_buffer;
    if wanted > 0 && set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, wanted as i32).is_err() {
        socket.set_recv_buffer_size(wanted)?;
    }
    let wanted = options.send_buffer;
    if wanted > 0 && set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, wanted as i32).is_err() {
        socket.set_send_buffer_size(wanted)?;
    }
    Ok(())
}

/// Whether a datagram may be fragmented, by this host or by a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub(crate) enum Fragments {
    /// It may be fragmented.
    #[default]
    Allowed,
    /// It is so small that it need not be: DF is set.
    Needless,
    /// It must not: the client has asked for DF, and a datagram that is too long is dropped and
    /// reported.
    Forbidden,
}

impl Fragments {
    /// The setting of a socket when it is bound.
    ///
    /// A listener's own socket always allows fragments: its options cannot change between one
    /// datagram and the next without cost, so it has a second socket for small datagrams.
    pub(super) fn at_bind(ipv6: bool, options: &UdpOptions) -> Self {
        let by_size = options.dont_fragment == DontFragment::Small
            && !options.reuse_port
            && options.receive_errors;
        if by_size && !ipv6 { Self::Needless } else { Self::Allowed }
    }
}

/// Sets the options of the IP layer. An option that is off stays at its default, and costs no
/// system call.
///
/// Over IPv4, DF is clear in two ways: with `PMTUDISC_DONT` the kernel swallows the answer to a
/// datagram that went out with DF set a moment ago, so a socket that wants errors has
/// `PMTUDISC_OMIT`.
pub(super) fn set_ip_options(
    socket: &Socket,
    ipv6: bool,
    wildcard: bool,
    options: &UdpOptions,
) -> io::Result<()> {
    let (level, packet_info, tos, errors) = if ipv6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT)?;
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, libc::IPV6_RECVTCLASS, libc::IPV6_RECVERR)
    } else {
        if options.receive_errors {
            set_fragments(socket.as_raw_fd(), false, Fragments::at_bind(ipv6, options))?;
        } else {
            set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)?;
        }
        (libc::IPPROTO_IP, libc::IP_PKTINFO, libc::IP_RECVTOS, libc::IP_RECVERR)
    };
    for (name, wanted) in
        [(packet_info, wildcard), (tos, options.receive_tos), (errors, options.receive_errors)]
    {
        if wanted {
            set(socket, level, name, 1)?;
        }
    }
    Ok(())
}

/// Sets whether what `fd` sends from now on may be fragmented.
// Deviation: RFC 8656 §14: DF is set on IPv4 datagrams of at most 1,280 bytes, whatever the DF bit
// of what came in, which the server cannot read: nearly all senders set it, every path takes such
// datagrams in practice, and the kernel spares a tenth of their cost. `net.dont_fragment = "never"`
// restores the alternate behaviour.
// Deviation: RFC 8656 §15: DF is set on IPv4 datagrams of at most 1,280 bytes also when their
// content came over TCP, for the same reason.
pub(super) fn set_fragments(fd: RawFd, ipv6: bool, fragments: Fragments) -> io::Result<()> {
    if ipv6 {
        let dont = i32::from(fragments == Fragments::Forbidden);
        return set_by_fd(fd, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, dont);
    }
    let discover = match fragments {
        Fragments::Allowed => libc::IP_PMTUDISC_OMIT,
        // The kernel ignores ICMP messages about a path's MTU.
        Fragments::Needless => libc::IP_PMTUDISC_PROBE,
        Fragments::Forbidden => libc::IP_PMTUDISC_DO,
    };
    set_by_fd(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, discover)
}

/// Has the kernel put consecutive datagrams of one flow into one message, where it knows how
/// (UDP_GRO, Linux 5.0).
pub(super) fn set_coalescing(socket: &Socket) {
    let _without_it_they_come_one_by_one = set(socket, libc::SOL_UDP, libc::UDP_GRO, 1);
}

/// Has the kernel drop all that arrives. Where it refuses, the socket receives.
pub(super) fn drop_arrivals(socket: &Socket) {
    let mut drop_all =
        libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 };
    let program = libc::sock_fprog { len: 1, filter: &raw mut drop_all };
    let len = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: `program` describes one instruction, which lives through the call; the kernel copies
    // it.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            len,
        )
    };
}

/// Ends the effect of [`drop_arrivals`].
pub(super) fn stop_dropping(fd: RawFd) -> io::Result<()> {
    match set_by_fd(fd, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // it never dropped
        result => result,
    }
}

/// Whether the kernel cuts messages into datagrams (UDP_SEGMENT, Linux 4.18).
pub(super) fn can_segment() -> bool {
    let Ok(socket) = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP)) else {
        return false;
    };
    set(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok()
}

fn set(socket: &Socket, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_by_fd(socket.as_raw_fd(), level, name, value)
}

fn set_by_fd(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the kernel reads the four bytes of `value` during the call.
    let result = unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
