//! Control messages: the destination address and traffic class of what arrives, the source address
//! and class of what leaves, and the length at which a message of several datagrams is cut.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Room for the control messages of one message: packet information, traffic class, the length of a
/// datagram; of either family.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control([u8; CONTROL_LEN]);

pub(crate) const CONTROL_LEN: usize = 96;
const _: () = assert!(
    // SAFETY: pure arithmetic.
    CONTROL_LEN as u32 >= unsafe { libc::CMSG_SPACE(20) + 2 * libc::CMSG_SPACE(4) }
);

impl Control {
    pub(crate) const EMPTY: Self = Self([0; CONTROL_LEN]);

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// The content of the control messages of a received datagram.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Ancillary {
    pub(crate) destination: Option<IpAddr>,
    pub(crate) tos: u8,
    /// The length of each datagram, where the kernel has put several into one message.
    pub(crate) segment_len: Option<u16>,
}

/// Reads the control messages of a received datagram.
///
/// # Safety
/// `header` must describe a control buffer that the kernel filled, and that nothing writes during
/// the call.
pub(crate) unsafe fn read(header: &libc::msghdr) -> Ancillary {
    let mut found = Ancillary::default();
    // SAFETY: the caller guarantees the control buffer; CMSG_NXTHDR stays inside msg_controllen.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: the kernel wrote this control message, aligned, with the payload that its type
        // says; the address may be unaligned for its type, hence read_unaligned.
        unsafe {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_TOS) => found.tos = *data,
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    found.tos = data.cast::<i32>().read_unaligned() as u8;
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    found.segment_len = u16::try_from(data.cast::<i32>().read_unaligned()).ok();
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    let address = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes());
                    found.destination = Some(address.into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    found.destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    found
}

/// Writes the control messages of an outgoing datagram. Returns their length; 0: none are needed.
pub(crate) fn write(control: &mut Control, ipv6: bool, source: Option<IpAddr>, tos: u8) -> usize {
    let mut len = 0;
    match source {
        Some(IpAddr::V4(address)) if !ipv6 => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            len = put(control, len, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        Some(IpAddr::V6(address)) if ipv6 => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: address.octets() },
                ipi6_ifindex: 0,
            };
            len = put(control, len, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
        _ => {}
    }
    if tos != 0 {
        let (level, kind) = if ipv6 {
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
        } else {
            (libc::IPPROTO_IP, libc::IP_TOS)
        };
        len = put(control, len, level, kind, i32::from(tos));
    }
    len
}

/// Writes, behind `at` bytes of other control messages, the one that has the kernel cut the message
/// into datagrams of `len` bytes. Returns the length of all of them.
pub(crate) fn write_segment_len(control: &mut Control, at: usize, len: u16) -> usize {
    put(control, at, libc::SOL_UDP, libc::UDP_SEGMENT, len)
}

fn put<T: Copy>(control: &mut Control, at: usize, level: i32, kind: i32, value: T) -> usize {
    // SAFETY: pure arithmetic.
    let (len, space) = unsafe {
        (
            libc::CMSG_LEN(size_of::<T>() as u32) as usize,
            libc::CMSG_SPACE(size_of::<T>() as u32) as usize,
        )
    };
    assert!(at + space <= CONTROL_LEN, "three control messages fit");
    // SAFETY: the message lies inside the buffer (just asserted), and `at` is a multiple of the
    // alignment because every message before it took CMSG_SPACE bytes.
    unsafe {
        let message = control.0.as_mut_ptr().add(at).cast::<libc::cmsghdr>();
        (*message).cmsg_len = len as _;
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
    }
    at + space
}
