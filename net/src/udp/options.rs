//! What a UDP socket is asked for, and what it got.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};

/// What to ask of a UDP socket when it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpOptions {
    /// Several workers bind the same address and port (SO_REUSEPORT). Never for a relayed socket: two allocations would share it.
    pub reuse_port: bool,
    /// Wanted receive buffer in bytes, as an application counts (the kernel books twice as much). 0: the system's default.
    pub receive_buffer: usize,
    /// Wanted send buffer in bytes. 0: the system's default.
    pub send_buffer: usize,
    /// Report the DSCP and ECN bits of what arrives.
    pub receive_tos: bool,
    /// Queue the ICMP errors that come back, so that each names the peer it is about.
    pub receive_errors: bool,
}

impl UdpOptions {
    /// A listener that each worker has one of: 4 MB buffers.
    pub const LISTENER: Self =
        Self { reuse_port: true, receive_buffer: 4 << 20, send_buffer: 4 << 20, receive_tos: true, receive_errors: false };

    /// A relayed transport address: 256 KiB for what peers send in one turn, ICMP errors reported. What is sent in one turn fits the
    /// system's send buffer.
    pub const RELAYED: Self =
        Self { reuse_port: false, receive_buffer: 256 << 10, send_buffer: 0, receive_tos: true, receive_errors: true };
}

/// The buffers that a socket got: `net.core.rmem_max` and `wmem_max` cap what an unprivileged process asks for.
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

/// Sets the options of the IP layer; what is off stays at its default, which is off, and costs no system call.
///
/// DF stays clear but where [`set_dont_fragment`] sets it: a relay that does not copy the incoming DF bit leaves it unset, the
/// alternate behaviour of RFC 8656 §14. Over IPv4 it is clear in two ways: with `PMTUDISC_DONT` the kernel swallows the answer to a
/// datagram that went out with DF set a moment ago, so a socket that wants errors has `PMTUDISC_OMIT`.
pub(super) fn set_ip_options(socket: &Socket, ipv6: bool, wildcard: bool, options: &UdpOptions) -> io::Result<()> {
    let (level, no_df, packet_info, tos, errors) = if ipv6 {
        let no_df = (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT);
        (libc::IPPROTO_IPV6, no_df, libc::IPV6_RECVPKTINFO, libc::IPV6_RECVTCLASS, libc::IPV6_RECVERR)
    } else {
        let no_df = (libc::IP_MTU_DISCOVER, if options.receive_errors { libc::IP_PMTUDISC_OMIT } else { libc::IP_PMTUDISC_DONT });
        (libc::IPPROTO_IP, no_df, libc::IP_PKTINFO, libc::IP_RECVTOS, libc::IP_RECVERR)
    };
    set(socket, level, no_df.0, no_df.1)?;
    for (name, wanted) in [(packet_info, wildcard), (tos, options.receive_tos), (errors, options.receive_errors)] {
        if wanted {
            set(socket, level, name, 1)?;
        }
    }
    Ok(())
}

/// Sets DF for what `fd`, a socket made for errors, sends from now on, or clears it again.
pub(super) fn set_dont_fragment(fd: RawFd, ipv6: bool, dont: bool) -> io::Result<()> {
    match (ipv6, dont) {
        (false, true) => set_by_fd(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO),
        (false, false) => set_by_fd(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
        (true, dont) => set_by_fd(fd, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, dont.into()),
    }
}

/// Has the kernel put consecutive datagrams of one flow into one message, where it knows how (UDP_GRO, Linux 5.0).
pub(super) fn set_coalescing(socket: &Socket) {
    let _without_it_they_come_one_by_one = set(socket, libc::SOL_UDP, libc::UDP_GRO, 1);
}

/// Whether the kernel cuts messages into datagrams (UDP_SEGMENT, Linux 4.18).
pub(super) fn can_segment() -> bool {
    let Ok(socket) = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP)) else { return false };
    set(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok()
}

fn set(socket: &Socket, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_by_fd(socket.as_raw_fd(), level, name, value)
}

fn set_by_fd(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the kernel reads the four bytes of `value` during the call.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size_of::<i32>() as libc::socklen_t) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
