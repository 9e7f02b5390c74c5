//! Batches of datagrams out: collected while a batch is handled, in the kernel's own form.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

use super::ancillary::{self, Control};
use super::options;
use super::order::{CAPACITY, Order};
use super::refusals::Refusals;
use super::socket::UdpSocket;
use crate::address::RawAddress;
use crate::region::{Region, Span};
use crate::slots::Key;

/// Parts that they have together.
const PARTS: usize = 1024;
/// The most parts that one datagram has: a header, a body, padding.
const PARTS_EACH: usize = 3;

/// Datagrams that one message may hold: what every kernel that cuts messages at all takes.
const MOST_SEGMENTS: u8 = 64;
/// Bytes that one message of several datagrams may hold: a little less than a datagram of IPv4, with room for options.
const MOST_BYTES: usize = 65_000;

/// Where a datagram leaves from, and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The socket's descriptor. It must stay open until the next flush.
    pub(crate) fd: RawFd,
    /// Which socket, if it is one that a ring serves.
    pub(crate) ringed: Option<Key<UdpSocket>>,
    pub(crate) to: SocketAddr,
    /// The source address, for a socket bound to the wildcard address.
    pub(crate) from: Option<IpAddr>,
    pub(crate) tos: u8,
    pub(crate) dont_fragment: bool,
}

/// What the kernel is not told of a message, or in other words.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Message {
    pub(super) fd: RawFd,
    /// Which socket, if it is one that a ring serves.
    pub(super) ringed: Option<Key<UdpSocket>>,
    /// Where its parts begin, and how many they are.
    pub(super) parts: usize,
    pub(super) part_count: usize,
    /// How many datagrams it is.
    pub(super) segments: u8,
    /// How long each of them is; the last may be shorter.
    pub(super) segment_len: usize,
    /// How long they are together.
    pub(super) bytes: usize,
    /// Length of the control messages without the one that has it cut.
    pub(super) plain_control: usize,
    /// Whether it is to leave with DF set.
    pub(super) dont_fragment: bool,
}

/// Messages to be sent. A message is one datagram, or several of one flow that the kernel cuts apart (UDP_SEGMENT): the datagrams are
/// then all of one length, but for a shorter last one.
pub(crate) struct Outbox {
    pub(super) len: usize,
    parts: usize,
    pushed: u64,
    /// Where the last message goes.
    last: Option<Destination>,
    /// Whether the last message may grow.
    open: bool,
    /// Whether the kernel knows how to cut messages.
    merges: bool,
    /// Whether any is to leave with DF set.
    pub(super) dont_fragment: bool,
    pub(super) refusals: Refusals,
    /// The order in which messages leave.
    pub(super) order: Order,
    /// What the ring was given and has not answered for yet, by the bit of its position.
    pub(super) submitted: u128,
    /// Sockets of a ring that failed to send: an ICMP error may have come, of which nobody else would hear.
    pub(super) suspects: VecDeque<Key<UdpSocket>>,
    pub(super) messages: Box<[Message; CAPACITY]>,
    pub(super) headers: Box<[libc::mmsghdr; CAPACITY]>,
    /// Copies of headers that are sent together and do not stand together.
    pub(super) gathered: Box<[libc::mmsghdr; CAPACITY]>,
    // The headers point into these boxes, which therefore never move or grow.
    pub(super) vectors: Box<[libc::iovec; PARTS]>,
    pub(super) names: Box<[RawAddress; CAPACITY]>,
    controls: Box<[Control; CAPACITY]>,
}

// SAFETY: the raw pointers lead into boxes and a region that move with the outbox or outlive it; no thread shares them.
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
            dont_fragment: false,
            refusals: Refusals::new(),
            order: Order::new(),
            submitted: 0,
            suspects: VecDeque::new(),
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

    /// How many datagrams were ever queued: tells whether some were meanwhile.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// How many sockets of a ring failed to send since the last look.
    pub(crate) fn suspects(&self) -> usize {
        self.suspects.len()
    }

    /// The one that did so first.
    pub(crate) fn next_suspect(&mut self) -> Option<Key<UdpSocket>> {
        self.suspects.pop_front()
    }

    /// Has this socket looked at once more.
    pub(crate) fn suspect(&mut self, socket: Key<UdpSocket>) {
        self.suspects.push_back(socket);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == CAPACITY || self.parts + PARTS_EACH > PARTS
    }

    /// Forgets all that is queued.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.parts = 0;
        self.last = None;
        self.dont_fragment = false;
        self.order.reset();
    }

    /// Queues the bytes of `parts`, at most three, as one datagram. The outbox must not be full, and the bytes must stay as they are
    /// until the flush.
    pub(crate) fn push(&mut self, region: &Region, parts: &[Span], destination: &Destination, now: Duration) {
        self.pushed += 1;
        let first = self.parts;
        let mut bytes = 0;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            self.vectors[self.parts] = libc::iovec { iov_base: region.address(*part).as_ptr().cast(), iov_len: part.len() };
            self.parts += 1;
            bytes += part.len();
        }
        if self.open && self.takes(bytes, destination, now) {
            self.grow(bytes);
        } else {
            self.begin(first, bytes, destination);
        }
    }

    /// Whether the last message can be made longer by a datagram of so many bytes.
    fn takes(&self, bytes: usize, destination: &Destination, now: Duration) -> bool {
        if self.last.as_ref() != Some(destination) {
            return false;
        }
        let last = &self.messages[self.len - 1];
        (1..=last.segment_len).contains(&bytes)
            && last.segments < MOST_SEGMENTS
            && last.bytes + bytes <= MOST_BYTES
            && !self.refusals.includes(now, destination.to.ip(), last.segment_len)
    }

    fn grow(&mut self, bytes: usize) {
        let index = self.len - 1;
        let message = &mut self.messages[index];
        let header = &mut self.headers[index].msg_hdr;
        if message.segments == 1 {
            let control = &mut self.controls[index];
            header.msg_controllen = ancillary::write_segment_len(control, message.plain_control, message.segment_len as u16) as _;
            header.msg_control = control.as_mut_ptr();
        }
        message.segments += 1;
        message.bytes += bytes;
        message.part_count = self.parts - message.parts;
        header.msg_iovlen = message.part_count as _;
        self.open = bytes == message.segment_len;
    }

    fn begin(&mut self, first: usize, bytes: usize, destination: &Destination) {
        if bytes == 0 {
            self.vectors[first].iov_len = 0; // an empty datagram has a part, too
            self.parts = first + 1;
        }
        let index = self.len;
        self.len += 1;
        let control = &mut self.controls[index];
        let control_len = ancillary::write(control, destination.to.is_ipv6(), destination.from, destination.tos);
        self.messages[index] = Message {
            fd: destination.fd,
            ringed: destination.ringed,
            parts: first,
            part_count: self.parts - first,
            segments: 1,
            segment_len: bytes,
            bytes,
            plain_control: control_len,
            dont_fragment: destination.dont_fragment,
        };
        self.dont_fragment |= destination.dont_fragment;
        let header = &mut self.headers[index].msg_hdr;
        header.msg_namelen = self.names[index].set(destination.to);
        header.msg_iov = &raw mut self.vectors[first];
        header.msg_iovlen = (self.parts - first) as _;
        header.msg_controllen = control_len as _;
        header.msg_control = if control_len > 0 { control.as_mut_ptr() } else { ptr::null_mut() };
        self.last = Some(*destination);
        self.open = self.merges && bytes > 0;
    }
}
