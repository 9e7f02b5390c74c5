//! The outgoing batch: datagrams collected while a batch is served, in the kernel's own form.

use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

use super::ancillary::{self, Control};
use super::modes::Modes;
use super::options::{self, Fragments, SMALL};
use super::order::{CAPACITY, Order};
use super::refusals::{NARROW, Refusals, UNCUT};
use crate::address::RawAddress;
use crate::keys::SocketKey;
use crate::region::{Region, Span};

/// Maximum number of parts of all messages together.
const PARTS: usize = 1024;
/// Maximum number of parts of one datagram: a header, a body, padding.
const PARTS_EACH: usize = 3;

/// Maximum number of datagrams in one message, which every kernel takes that cuts messages at all.
const MAX_SEGMENTS: u8 = 64;
/// Maximum length of a message of several datagrams, in bytes: a little less than that of an IPv4
/// datagram, with room for options.
const MAX_BYTES: usize = 65_000;

/// The socket that a datagram leaves from, and its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The descriptor of the socket. It must stay open until the next flush.
    pub(crate) fd: RawFd,
    /// The fragmentation setting of the socket at bind.
    pub(crate) home: Fragments,
    /// The descriptor of its send-only socket for small datagrams, if it has one. It must stay
    /// open, too.
    pub(crate) send_only: Option<RawFd>,
    /// The socket's key, if a ring sends for it and no epoll event reports its errors.
    pub(crate) submit_as: Option<SocketKey>,
    pub(crate) to: SocketAddr,
    /// The source address, for a socket bound to the wildcard address.
    pub(crate) from: Option<IpAddr>,
    pub(crate) tos: u8,
    /// Whether the client has asked for DF.
    pub(crate) dont_fragment: bool,
    /// Whether DF must stay clear, however small it is.
    pub(crate) may_fragment: bool,
}

impl Destination {
    /// Whether small datagrams leave with DF set.
    fn is_by_size(&self) -> bool {
        self.home == Fragments::Needless || self.send_only.is_some()
    }
}

/// The part of a message that its header for the kernel does not hold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Message {
    /// The socket that it belongs to, and the one that it leaves from: the same, or its send-only
    /// socket.
    pub(super) socket: RawFd,
    pub(super) fd: RawFd,
    /// The fragmentation setting of `fd` at bind.
    pub(super) home: Fragments,
    /// The socket's key, if a ring sends for it and no epoll event reports its errors.
    pub(super) submit_as: Option<SocketKey>,
    /// The index of its first part, and the number of its parts.
    pub(super) parts: usize,
    pub(super) part_count: usize,
    /// The number of its datagrams.
    pub(super) segments: u8,
    /// The length of each datagram; the last may be shorter.
    pub(super) segment_len: usize,
    /// The length of all datagrams together.
    pub(super) bytes: usize,
    /// Length of the control messages without the one that has the kernel cut it.
    pub(super) plain_control: usize,
    /// The fragmentation setting that `fd` must have when it leaves.
    pub(super) fragments: Fragments,
    /// A hash of the client, for listeners with two sockets. Two clients may have the same.
    pub(super) client: u32,
}

/// Messages to be sent. A message is one datagram, or several of one flow that the kernel cuts
/// apart (UDP_SEGMENT): the datagrams are then all of one length, but for a shorter last one.
pub(crate) struct Outbox {
    pub(super) len: usize,
    parts: usize,
    pushed: u64,
    /// The destination of the last message.
    last: Option<Destination>,
    /// Whether the last message may grow.
    open: bool,
    /// Whether the kernel knows how to cut messages.
    merges: bool,
    /// Whether a large message leaves from a listener that has a send-only socket for small ones.
    pub(super) has_large: bool,
    /// The present fragmentation settings of sockets.
    pub(super) modes: Modes,
    pub(super) refusals: Refusals,
    /// Destinations to which DF stays clear.
    narrow: Refusals,
    /// The order in which messages leave.
    pub(super) order: Order,
    /// Messages that were given to the ring in this submission, by the bits of their positions.
    pub(super) submitted: u128,
    /// Sockets of a ring whose send has failed, each once: their error queues may hold an ICMP
    /// error, which nothing else reports.
    error_checks: VecDeque<SocketKey>,
    to_be_checked: HashSet<SocketKey>,
    pub(super) messages: Box<[Message; CAPACITY]>,
    pub(super) headers: Box<[libc::mmsghdr; CAPACITY]>,
    /// Copies of headers that are sent together but are not adjacent.
    pub(super) gathered: Box<[libc::mmsghdr; CAPACITY]>,
    // The headers point into these boxes, which therefore never move or grow.
    pub(super) vectors: Box<[libc::iovec; PARTS]>,
    pub(super) names: Box<[RawAddress; CAPACITY]>,
    controls: Box<[Control; CAPACITY]>,
}

// SAFETY: the raw pointers lead into boxes and a region that move with the outbox or outlive it; no
// thread shares them.
unsafe impl Send for Outbox {}

impl Outbox {
    pub(crate) fn new() -> Self {
        let mut names = Box::new([RawAddress::EMPTY; CAPACITY]);
        let headers = Box::new(std::array::from_fn(|index| {
            // SAFETY: all-zero is a valid `mmsghdr`.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut names[index]).cast();
            header
        }));
        Self {
            len: 0,
            parts: 0,
            pushed: 0,
            last: None,
            open: false,
            merges: options::can_segment(),
            has_large: false,
            modes: Modes::default(),
            refusals: Refusals::new(UNCUT),
            narrow: Refusals::new(NARROW),
            order: Order::new(),
            submitted: 0,
            error_checks: VecDeque::new(),
            to_be_checked: HashSet::new(),
            messages: Box::new([Message::default(); CAPACITY]),
            gathered: headers.clone(),
            headers,
            vectors: Box::new([libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; PARTS]),
            names,
            controls: Box::new([Control::EMPTY; CAPACITY]),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many datagrams were queued since the start, to detect new ones.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// How many sockets are to have their error queues checked.
    pub(crate) fn error_checks(&self) -> usize {
        self.error_checks.len()
    }

    /// Takes the first socket whose error queue is to be checked.
    pub(crate) fn next_error_check(&mut self) -> Option<SocketKey> {
        let socket = self.error_checks.pop_front()?;
        self.to_be_checked.remove(&socket);
        Some(socket)
    }

    /// Has the error queue of a socket checked, once however often it fails until then.
    pub(crate) fn check_errors_of(&mut self, socket: SocketKey) {
        if self.to_be_checked.insert(socket) {
            self.error_checks.push_back(socket);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == CAPACITY || self.parts + PARTS_EACH > PARTS
    }

    /// Drops everything that is queued.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.parts = 0;
        self.last = None;
        self.has_large = false;
        self.order.reset();
    }

    /// Queues the bytes of `parts`, at most three, as one datagram. The outbox must not be full,
    /// and the bytes must stay as they are until the flush.
    pub(crate) fn push(
        &mut self,
        region: &Region,
        parts: &[Span],
        destination: &Destination,
        now: Duration,
    ) {
        self.pushed += 1;
        let first = self.parts;
        let mut bytes = 0;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            self.vectors[self.parts] = libc::iovec {
                iov_base: region.address(*part).as_ptr().cast(),
                iov_len: part.len(),
            };
            self.parts += 1;
            bytes += part.len();
        }
        if self.open && self.takes(bytes, destination, now) {
            self.grow(bytes);
        } else {
            self.begin(first, bytes, destination, now);
        }
    }

    /// Whether the last message can take another datagram of this length.
    fn takes(&self, bytes: usize, destination: &Destination, now: Duration) -> bool {
        if self.last.as_ref() != Some(destination) {
            return false;
        }
        let last = &self.messages[self.len - 1];
        (1..=last.segment_len).contains(&bytes)
            && last.segments < MAX_SEGMENTS
            && last.bytes + bytes <= MAX_BYTES
            && !self.refusals.includes(now, destination.to.ip(), last.segment_len)
    }

    fn grow(&mut self, bytes: usize) {
        let index = self.len - 1;
        let message = &mut self.messages[index];
        let header = &mut self.headers[index].msg_hdr;
        if message.segments == 1 {
            let control = &mut self.controls[index];
            header.msg_controllen = ancillary::write_segment_len(
                control,
                message.plain_control,
                message.segment_len as u16,
            ) as _;
            header.msg_control = control.as_mut_ptr();
        }
        message.segments += 1;
        message.bytes += bytes;
        message.part_count = self.parts - message.parts;
        header.msg_iovlen = message.part_count as _;
        self.open = bytes == message.segment_len;
    }

    fn begin(&mut self, first: usize, bytes: usize, destination: &Destination, now: Duration) {
        if bytes == 0 {
            self.vectors[first].iov_len = 0; // an empty datagram has a part, too
            self.parts = first + 1;
        }
        let index = self.len;
        self.len += 1;
        let fragments = self.fragments(bytes, destination, now);
        let control = &mut self.controls[index];
        let control_len =
            ancillary::write(control, destination.to.is_ipv6(), destination.from, destination.tos);
        let (fd, home) = match destination.send_only.filter(|_| fragments == Fragments::Needless) {
            Some(send_only) => (send_only, Fragments::Needless),
            None => (destination.fd, destination.home),
        };
        self.has_large |= destination.send_only.is_some_and(|send_only| fd != send_only);
        self.messages[index] = Message {
            socket: destination.fd,
            fd,
            home,
            submit_as: destination.submit_as,
            parts: first,
            part_count: self.parts - first,
            segments: 1,
            segment_len: bytes,
            bytes,
            plain_control: control_len,
            fragments,
            client: if let SocketAddr::V4(to) = destination.to {
                u32::from(*to.ip()) ^ u32::from(to.port()) << 16
            } else {
                0
            },
        };
        let header = &mut self.headers[index].msg_hdr;
        header.msg_namelen = self.names[index].set(destination.to);
        header.msg_iov = &raw mut self.vectors[first];
        header.msg_iovlen = (self.parts - first) as _;
        header.msg_controllen = control_len as _;
        header.msg_control = if control_len > 0 { control.as_mut_ptr() } else { ptr::null_mut() };
        self.last = Some(*destination);
        self.open = self.merges && bytes > 0;
    }

    /// Whether a datagram of `bytes` bytes may be fragmented.
    fn fragments(&self, bytes: usize, destination: &Destination, now: Duration) -> Fragments {
        if destination.dont_fragment {
            return Fragments::Forbidden;
        }
        let is_small = bytes <= SMALL && destination.is_by_size() && !destination.may_fragment;
        if is_small && !self.narrow.includes(now, destination.to.ip(), bytes) {
            Fragments::Needless
        } else {
            Fragments::Allowed
        }
    }

    /// Notes that the path to `to` takes datagrams of `mtu` bytes, the IP header included: longer
    /// ones will leave without DF.
    pub(crate) fn note_mtu(&mut self, now: Duration, to: IpAddr, mtu: u32) {
        let headers = 1_280 - SMALL;
        if to.is_ipv4() && mtu < 1_280 {
            self.narrow.note(now, to, (mtu as usize + 1).saturating_sub(headers));
        }
    }

    /// Notes that the message at `index`, although small, is too long for its path: it may be
    /// fragmented, and so may later ones to the same destination.
    pub(super) fn let_fragment(&mut self, index: usize, now: Duration) {
        let message = &mut self.messages[index];
        message.fragments = Fragments::Allowed;
        if message.fd != message.socket {
            (message.fd, message.home) = (message.socket, Fragments::Allowed);
        }
        let len = message.segment_len;
        if let Some(to) = self.names[index].read() {
            self.narrow.note(now, to.ip(), len);
        }
    }

    /// Notes that a descriptor has become another socket's.
    pub(crate) fn forget(&mut self, fd: RawFd) {
        self.modes.forget(fd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_fails_often_is_checked_once() {
        let mut outbox = Outbox::new();
        let [one, other] = [1, 2].map(SocketKey::from_bits);
        for _ in 0..100 {
            outbox.check_errors_of(one);
            outbox.check_errors_of(other);
        }
        assert_eq!(outbox.error_checks(), 2);
        assert_eq!(outbox.next_error_check(), Some(one));
        outbox.check_errors_of(one); // it has failed since
        assert_eq!(
            [outbox.next_error_check(), outbox.next_error_check(), outbox.next_error_check()],
            [Some(other), Some(one), None]
        );
    }
}
