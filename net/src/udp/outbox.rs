//! Batches of datagrams out: collected while a batch is handled, sent when it ends.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::ptr;

use super::ancillary::{self, Control};
use super::options;
use crate::address::RawAddress;
use crate::region::{Region, Span};
use crate::stats::Stats;

/// Datagrams that wait for a flush: one for each slot, and as many replies.
const CAPACITY: usize = 128;
const _: () = assert!(CAPACITY <= u128::BITS as usize);

/// Where a datagram leaves from, and where it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination {
    /// The socket's descriptor. It must stay open until the next flush.
    pub(crate) fd: RawFd,
    pub(crate) to: SocketAddr,
    /// The source address, for a socket bound to the wildcard address.
    pub(crate) from: Option<IpAddr>,
    pub(crate) tos: u8,
    pub(crate) dont_fragment: bool,
}

/// Datagrams to be sent, in the kernel's own form.
pub(crate) struct Outbox {
    len: usize,
    pushed: u64,
    /// Which are to leave with DF set, by bit.
    dont_fragment: u128,
    fds: Box<[RawFd; CAPACITY]>,
    headers: Box<[libc::mmsghdr; CAPACITY]>,
    // The headers point into these boxes, which therefore never move or grow.
    vectors: Box<[libc::iovec; CAPACITY]>,
    names: Box<[RawAddress; CAPACITY]>,
    controls: Box<[Control; CAPACITY]>,
}

// SAFETY: the raw pointers lead into boxes and a region that move with the outbox or outlive it; no thread shares them.
unsafe impl Send for Outbox {}

/// What became of one system call that sends.
enum Outcome {
    Sent(usize),
    /// The socket's buffer is full.
    Full,
    /// This datagram cannot be sent.
    Refused,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        let mut names = Box::new([RawAddress::EMPTY; CAPACITY]);
        let mut vectors = Box::new([libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; CAPACITY]);
        let headers = Box::new(std::array::from_fn(|index| {
            // SAFETY: all-zero is a valid `mmsghdr`.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut names[index]).cast();
            header.msg_hdr.msg_iov = &raw mut vectors[index];
            header.msg_hdr.msg_iovlen = 1;
            header
        }));
        Self {
            len: 0,
            pushed: 0,
            dont_fragment: 0,
            fds: Box::new([-1; CAPACITY]),
            headers,
            vectors,
            names,
            controls: Box::new([Control::EMPTY; CAPACITY]),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many datagrams were ever queued: tells whether some were meanwhile.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == CAPACITY
    }

    /// Queues the bytes of `span`. The outbox must not be full, and the bytes must stay as they are until the flush.
    pub(crate) fn push(&mut self, region: &Region, span: Span, destination: &Destination) {
        let index = self.len;
        self.len += 1;
        self.pushed += 1;
        self.fds[index] = destination.fd;
        self.dont_fragment |= u128::from(destination.dont_fragment) << index;
        self.vectors[index] = libc::iovec { iov_base: region.address(span).as_ptr().cast(), iov_len: span.len() };
        let control = &mut self.controls[index];
        let control_len = ancillary::write(control, destination.to.is_ipv6(), destination.from, destination.tos);
        let header = &mut self.headers[index].msg_hdr;
        header.msg_namelen = self.names[index].set(destination.to);
        header.msg_controllen = control_len as _;
        header.msg_control = if control_len > 0 { control.as_mut_ptr() } else { ptr::null_mut() };
    }

    /// Sends all that is queued, each run of datagrams of one socket with one system call. Nothing is kept: what cannot be sent
    /// now is dropped and counted, as a router would.
    pub(crate) fn flush(&mut self, stats: &Stats) {
        let mut first = 0;
        while first < self.len {
            let fd = self.fds[first];
            let run = self.fds[first..self.len].iter().take_while(|other| **other == fd).count();
            if self.dont_fragment == 0 {
                self.send_run(first, first + run, stats);
            } else {
                self.send_mixed_run(first, first + run, stats);
            }
            first += run;
        }
        self.len = 0;
        self.dont_fragment = 0;
    }

    /// A run in which some are to leave with DF set: that is an option of the socket, changed for those between two changes.
    fn send_mixed_run(&mut self, mut first: usize, end: usize, stats: &Stats) {
        while first < end {
            let is_set = |index: usize| self.dont_fragment >> index & 1 == 1;
            let dont = is_set(first);
            let run = (first..end).take_while(|index| is_set(*index) == dont).count();
            let (fd, ipv6) = (self.fds[first], self.names[first].is_ipv6());
            if !dont {
                self.send_run(first, first + run, stats);
            } else if options::set_dont_fragment(fd, ipv6, true).is_ok() {
                self.send_run(first, first + run, stats);
                let _cleared = options::set_dont_fragment(fd, ipv6, false); // as it could be set, it can be cleared
            } else {
                stats.dropped_send_refused.add(run as u64);
            }
            first += run;
        }
    }

    fn send_run(&mut self, mut first: usize, end: usize, stats: &Stats) {
        let mut was_full = false;
        while first < end {
            match self.send_some(first, end, stats) {
                Outcome::Sent(count) => {
                    first += count;
                    was_full = false;
                }
                // One is lost; if there is still no room, so is the rest: trying each would cost a system call a loss.
                Outcome::Full if was_full => {
                    stats.dropped_send_buffer_full.add((end - first) as u64);
                    return;
                }
                Outcome::Full => {
                    stats.dropped_send_buffer_full.add(1);
                    first += 1;
                    was_full = true;
                }
                Outcome::Refused => {
                    stats.dropped_send_refused.add(1);
                    first += 1;
                }
            }
        }
    }

    /// One successful system call, or the verdict on the datagram at `first`.
    ///
    /// A failure may be an older datagram's: an ICMP error that was pending on the socket is reported by whichever call comes
    /// next, and is cleared by that (row H38). So a failed call is made once more before the datagram is blamed.
    fn send_some(&mut self, first: usize, end: usize, stats: &Stats) -> Outcome {
        let mut blamed = false;
        loop {
            stats.send_calls.add(1);
            match self.call(first, end) {
                Ok(count) => {
                    let bytes: usize = self.vectors[first..first + count].iter().map(|vector| vector.iov_len).sum();
                    stats.datagrams_sent.add(count as u64);
                    stats.datagrams_sent_bytes.add(bytes as u64);
                    return Outcome::Sent(count);
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => return Outcome::Full,
                    Some(libc::EMSGSIZE) => return Outcome::Refused,
                    _ if blamed => return Outcome::Refused,
                    _ => blamed = true,
                },
            }
        }
    }

    fn call(&mut self, first: usize, end: usize) -> io::Result<usize> {
        let fd = self.fds[first];
        let result = if end - first > 1 {
            let headers = &mut self.headers[first..end];
            // SAFETY: each header points to a name, a control buffer and a vector in this outbox's boxes; the vectors point into
            // the worker's region, which outlives the outbox, and the kernel only reads them.
            unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), headers.len() as u32, 0) as isize }
        } else {
            let header = &self.headers[first].msg_hdr;
            if header.msg_controllen == 0 {
                let vector = &self.vectors[first];
                // SAFETY: as above; without control messages the plain call spares the kernel a copy of the header.
                unsafe { libc::sendto(fd, vector.iov_base, vector.iov_len, 0, header.msg_name.cast(), header.msg_namelen) }
            } else {
                // SAFETY: as above.
                unsafe { libc::sendmsg(fd, header, 0) }
            }
        };
        match result {
            ..0 => Err(io::Error::last_os_error()),
            sent if end - first > 1 => Ok(sent as usize),
            _ => Ok(1),
        }
    }
}
