//! Receiving datagrams with recvmmsg into a worker's slots, and reading the messages of the kernel.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr;

use super::ancillary::{self, Ancillary, CONTROL_LEN, Control};
use super::socket::UdpSocket;
use crate::address::{RAW_ADDRESS_LEN, RawAddress};
use crate::packet::{self, HEADROOM, MAX_DATAGRAM, Room, SLOTS, TAILROOM};
use crate::region::{Region, Span};

/// The kernel's view of a worker's slots: slot `i` always receives through header `i`.
pub(crate) struct Receiver {
    headers: Box<[libc::mmsghdr; SLOTS]>,
    // The headers point into these boxes, which therefore never move or grow.
    names: Box<[RawAddress; SLOTS]>,
    _controls: Box<[Control; SLOTS]>,
    _vectors: Box<[libc::iovec; SLOTS]>,
    /// The headers in which the kernel has written lengths; the lengths of all others are as the
    /// next call needs them.
    written: Range<usize>,
}

// SAFETY: the raw pointers lead into boxes and a region that move with the receiver or outlive it;
// no thread shares them.
unsafe impl Send for Receiver {}

/// One received message of the kernel: a datagram, or several of one flow that it has put together
/// (UDP_GRO).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    pub(crate) source: SocketAddr,
    /// The destination address, if the socket asked for it.
    pub(crate) destination: Option<IpAddr>,
    pub(crate) tos: u8,
    /// The datagrams, consecutive, and the room around them.
    pub(crate) room: Room,
    /// The length of each datagram but the last, which may be shorter. At least 1.
    pub(crate) segment_len: usize,
}

impl Received {
    /// The number of datagrams; an empty message is one.
    pub(crate) fn datagrams(&self) -> usize {
        self.room.payload.len().div_ceil(self.segment_len).max(1)
    }

    /// The datagrams, in order, each with the room that belongs to it.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Room> + use<> {
        let (whole, len) = (self.room, self.segment_len);
        (0..self.datagrams()).map(move |index| {
            let start = whole.payload.start + index * len;
            let end = (start + len).min(whole.payload.end);
            let headroom = if index == 0 { whole.headroom } else { 0 };
            let tailroom = if end == whole.payload.end { whole.tailroom } else { 0 };
            Room { payload: Span { start, end }, headroom, tailroom }
        })
    }

    /// Reads what the kernel wrote of a message in `room`. `None`: its source is neither IPv4 nor
    /// IPv6.
    ///
    /// # Safety
    /// The kernel must have filled the control buffer of `header`, and nothing may write it during
    /// the call.
    pub(crate) unsafe fn read(
        name: &RawAddress,
        header: &libc::msghdr,
        room: Room,
    ) -> Option<Self> {
        let found = if header.msg_controllen > 0 {
            // SAFETY: as the caller promised.
            unsafe { ancillary::read(header) }
        } else {
            Ancillary::default()
        };
        let segment_len = found.segment_len.map_or(room.payload.len(), usize::from).max(1);
        Some(Self {
            source: name.read()?,
            destination: found.destination,
            tos: found.tos,
            room,
            segment_len,
        })
    }
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
            // SAFETY: all-zero is a valid `mmsghdr`; on some targets it has private padding, so it
            // cannot be written out.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut names[index]).cast();
            header.msg_hdr.msg_iov = &raw mut vectors[index];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = controls[index].as_mut_ptr();
            header
        }));
        Self { headers, names, _controls: controls, _vectors: vectors, written: 0..SLOTS }
    }

    /// Receives up to `limit` messages into the slots from `first` on, with one system call.
    /// Returns how many came.
    ///
    /// # Errors
    /// `WouldBlock`: there is none. Otherwise the error that ICMP left pending on the socket.
    pub(crate) fn receive(
        &mut self,
        socket: &UdpSocket,
        first: usize,
        limit: usize,
    ) -> io::Result<usize> {
        for header in &mut self.headers[self.written.clone()] {
            header.msg_hdr.msg_namelen = RAW_ADDRESS_LEN;
            header.msg_hdr.msg_controllen = CONTROL_LEN as _;
        }
        self.written = first..first + limit; // what a failure leaves behind is not known
        let headers = &mut self.headers[first..first + limit];
        let fd = socket.as_raw_fd();
        if limit == 1 {
            // SAFETY: the header points to a name, a control buffer and a slot that live as long as
            // `self` and its region, and no packet of this slot is alive: the loop
            // hands slots out once between two flushes.
            let len = unsafe { libc::recvmsg(fd, &raw mut headers[0].msg_hdr, 0) };
            if len < 0 {
                return Err(io::Error::last_os_error());
            }
            headers[0].msg_len = len as u32;
            return Ok(1);
        }
        // SAFETY: as above, for each of the `limit` headers.
        let count =
            unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), limit as u32, 0, ptr::null_mut()) };
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        // The kernel has also begun with the one after these, and found nothing for it.
        self.written.end = (first + count as usize + 1).min(self.written.end);
        Ok(count as usize)
    }

    /// The message that the last [`receive`](Self::receive) put into `slot`. `None`: its source is
    /// neither IPv4 nor IPv6.
    pub(crate) fn received(&self, slot: usize) -> Option<Received> {
        let header = &self.headers[slot];
        let start = packet::slot(slot).start;
        let payload = Span { start, end: start + (header.msg_len as usize).min(MAX_DATAGRAM) };
        let room = Room { payload, headroom: HEADROOM, tailroom: TAILROOM };
        // SAFETY: the kernel filled this slot's control buffer and set its length.
        unsafe { Received::read(&self.names[slot], &header.msg_hdr, room) }
    }
}
