//! ICMP errors, each with the peer that it is about.
//!
//! Without the error queue, an unreachable peer's ICMP would surface as the failure of the next
//! send to *another* peer (row H38).

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::ptr;

use crate::address::{RAW_ADDRESS_LEN, RawAddress};

/// An ICMP error for a datagram that this socket sent, or the report of this host's own stack in
/// place of ICMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// The destination of the datagram. Its family tells ICMP (v4) from ICMPv6. The port is 0 where
    /// the kernel does not tell it: over IPv4, when the datagram was too long for this host's own
    /// link.
    pub peer: SocketAddr,
    /// The ICMP type.
    pub kind: u8,
    /// The ICMP code.
    pub code: u8,
    /// The error data of RFC 8656 §18.13: the next hop's MTU for ICMP 3/4 and ICMPv6 2, else 0.
    /// Big-endian.
    pub data: [u8; 4],
}

impl IcmpError {
    /// The MTU of the path, if the datagram was too long for it.
    pub(crate) fn mtu(&self) -> Option<u32> {
        let too_big = if self.peer.is_ipv4() { (3, 4) } else { (2, 0) };
        ((self.kind, self.code) == too_big).then(|| u32::from_be_bytes(self.data))
    }
}

/// Takes one error off the queue. `Ok(None)`: it is none that ICMP reports.
///
/// # Errors
/// `WouldBlock`: the queue is empty.
pub(crate) fn read_error(fd: RawFd) -> io::Result<Option<IcmpError>> {
    #[repr(C, align(8))]
    struct Control([u8; 256]);
    let mut name = RawAddress::EMPTY;
    let mut control = Control([0; 256]);
    let mut payload = [0u8; 1]; // the datagram's head comes along, and is not used
    let mut vector = libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
    // SAFETY: all-zero is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = RAW_ADDRESS_LEN;
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    // SAFETY: every pointer of the header leads to a live local of the size stated.
    let len = unsafe { libc::recvmsg(fd, &raw mut header, libc::MSG_ERRQUEUE) };
    if len < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel filled the control buffer.
    let error = unsafe { extended_error(&header) };
    Ok(name.read().zip(error).and_then(|(peer, error)| icmp_error(peer, &error)))
}

/// The error in the form of ICMP, also for a datagram that was too long for this host's own link
/// and never reached a router.
fn icmp_error(peer: SocketAddr, error: &libc::sock_extended_err) -> Option<IcmpError> {
    let too_big = if peer.is_ipv4() { (3, 4) } else { (2, 0) };
    let (kind, code) = match error.ee_origin {
        libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 => (error.ee_type, error.ee_code),
        libc::SO_EE_ORIGIN_LOCAL if error.ee_errno == libc::EMSGSIZE as u32 => too_big,
        _ => return None,
    };
    let mtu = if (kind, code) == too_big { error.ee_info } else { 0 };
    Some(IcmpError { peer, kind, code, data: mtu.to_be_bytes() })
}

/// Clears and returns the error that is pending on the socket itself.
pub(crate) fn take_pending(fd: RawFd) -> i32 {
    let mut error = 0i32;
    let mut len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel writes four bytes to `error`. A failure leaves it at 0.
    unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            (&raw mut error).cast(),
            &raw mut len,
        );
    }
    error
}

/// # Safety
/// `header` must describe a control buffer that the kernel filled.
unsafe fn extended_error(header: &libc::msghdr) -> Option<libc::sock_extended_err> {
    // SAFETY: the caller guarantees the control buffer; CMSG_NXTHDR stays inside msg_controllen.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: the kernel wrote this control message with the payload that its type says.
        unsafe {
            let kind = ((*message).cmsg_level, (*message).cmsg_type);
            if kind == (libc::IPPROTO_IP, libc::IP_RECVERR)
                || kind == (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            {
                let data = libc::CMSG_DATA(message).cast::<libc::sock_extended_err>();
                return Some(ptr::read_unaligned(data));
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}
