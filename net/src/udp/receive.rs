//! Batches of datagrams in: recvmmsg into a worker's slots.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::ptr;

use super::ancillary::{self, CONTROL_LEN, Control};
use super::socket::UdpSocket;
use crate::address::{RAW_ADDRESS_LEN, RawAddress};
use crate::packet::{self, MAX_DATAGRAM, SLOTS};
use crate::region::{Region, Span};

/// The kernel's view of a worker's slots: slot `i` always receives through header `i`.
pub(crate) struct Receiver {
    headers: Box<[libc::mmsghdr; SLOTS]>,
    // The headers point into these boxes, which therefore never move or grow.
    names: Box<[RawAddress; SLOTS]>,
    controls: Box<[Control; SLOTS]>,
    _vectors: Box<[libc::iovec; SLOTS]>,
}

// SAFETY: the raw pointers lead into boxes and a region that move with the receiver or outlive it; no thread shares them.
unsafe impl Send for Receiver {}

/// One datagram of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    pub(crate) source: SocketAddr,
    /// Where it was sent to, if the socket asked.
    pub(crate) destination: Option<IpAddr>,
    pub(crate) tos: u8,
    pub(crate) payload: Span,
}

impl Receiver {
    /// `region` must outlive the receiver; its first bytes are the slots.
    pub(crate) fn new(region: &Region) -> Self {
        let mut names = Box::new([RawAddress::EMPTY; SLOTS]);
        let mut controls = Box::new([Control::EMPTY; SLOTS]);
        let mut vectors = Box::new(std::array::from_fn(|index| libc::iovec {
            iov_base: region.address(packet::slot(index)).as_ptr().cast(),
            iov_len: MAX_DATAGRAM,
        }));
        let headers = Box::new(std::array::from_fn(|index| {
            // SAFETY: all-zero is a valid `mmsghdr`; on some targets it has private padding, so it cannot be written out.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut names[index]).cast();
            header.msg_hdr.msg_iov = &raw mut vectors[index];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = controls[index].as_mut_ptr();
            header
        }));
        Self { headers, names, controls, _vectors: vectors }
    }

    /// Receives up to `limit` datagrams into the slots from `first` on, with one system call, and says how many came.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, or the error that ICMP left pending on the socket.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, first: usize, limit: usize) -> io::Result<usize> {
        let control_len = if socket.wants_ancillary() { CONTROL_LEN } else { 0 };
        let headers = &mut self.headers[first..first + limit];
        for (header, control) in headers.iter_mut().zip(&mut self.controls[first..]) {
            header.msg_hdr.msg_namelen = RAW_ADDRESS_LEN;
            header.msg_hdr.msg_controllen = control_len as _;
            // A null control pointer spares the kernel the look at a length of zero, and us a stale one.
            header.msg_hdr.msg_control = if control_len > 0 { control.as_mut_ptr() } else { ptr::null_mut() };
        }
        let fd = socket.as_raw_fd();
        if limit == 1 {
            // SAFETY: the header points to a name, a control buffer and a slot that live as long as `self` and its region,
            // and no packet of this slot is alive: the loop hands slots out once between two flushes.
            let len = unsafe { libc::recvmsg(fd, &raw mut headers[0].msg_hdr, 0) };
            if len < 0 {
                return Err(io::Error::last_os_error());
            }
            headers[0].msg_len = len as u32;
            return Ok(1);
        }
        // SAFETY: as above, for each of the `limit` headers.
        let count = unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), limit as u32, 0, ptr::null_mut()) };
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(count as usize)
    }

    /// The datagram that the last `receive` put into `slot`. `None` if its source is of no family that we speak.
    pub(crate) fn datagram(&self, slot: usize) -> Option<Received> {
        let header = &self.headers[slot];
        let found = if header.msg_hdr.msg_controllen > 0 {
            // SAFETY: the kernel filled this control buffer and set its length.
            unsafe { ancillary::read(&header.msg_hdr) }
        } else {
            ancillary::Ancillary::default()
        };
        let start = packet::slot(slot).start;
        Some(Received {
            source: self.names[slot].read()?,
            destination: found.destination,
            tos: found.tos,
            payload: Span { start, end: start + (header.msg_len as usize).min(MAX_DATAGRAM) },
        })
    }
}
