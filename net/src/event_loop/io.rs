//! What a service may do: send, reply, open and close.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::associations::Associations;
use super::scratch::SCRATCH;
use super::screen::Screen;
use super::service::Route;
use super::share::Share;
use super::sockets::GRACE;
use super::{ListenerKey, SocketKey, StreamKey, StreamListenerOptions};
use crate::descriptors::{Descriptor, Descriptors};
use crate::epoll::Epoll;
use crate::packet::Packet;
use crate::region::{HUGE_PAGE, Region, Span};
use crate::secure::Post;
use crate::slots::Slots;
use crate::stats::Stats;
use crate::tcp::{Listener, Spare, Stream, StreamEnd};
use crate::udp::{Destination, Outbox, UdpSocket};
use crate::uring::{Backend, Buffers, Ring};

/// The longest reply, and the room that [`Io::reply_buffer`] gives.
pub const MAX_REPLY: usize = 65_552;

/// Behind the scratch buffer: records of TLS as they come.
pub(super) const CIPHER: Span = Span { start: SCRATCH.end, end: SCRATCH.end + (64 << 10) };
/// Behind that: replies, one after the other until the flush.
const ARENA: Span = Span { start: CIPHER.end, end: CIPHER.end + 4 * MAX_REPLY };
/// Behind that: bytes that are never written, for padding.
const ZEROS: Span = Span { start: ARENA.end, end: ARENA.end + 3 };
/// Behind that, on pages of its own: what a ring receives into, if there is one.
const RING: usize = ZEROS.end.next_multiple_of(HUGE_PAGE);
/// All that lies before it.
pub(super) const SLOTS_AND_REPLIES: Span = Span { start: 0, end: RING };
/// The buffers of a ring.
pub(super) const BUFFERS: Span =
    Span { start: RING, end: RING + Buffers::LEN.next_multiple_of(HUGE_PAGE) };

/// The worker's sockets, streams and outgoing batch, as its [`Service`](super::Service) sees them.
///
/// Datagrams leave at the end of the batch in the order given. Keys of things that are gone are no
/// error: what is sent to them is dropped and counted.
pub struct Io {
    pub(super) region: Arc<Region>,
    pub(super) epoll: Epoll,
    /// What serves the relayed sockets, if epoll does not.
    pub(super) ring: Option<Ring>,
    /// Sockets of the ring that are to be received from.
    pub(super) to_receive: Vec<SocketKey>,
    /// Sockets of the ring that were released while they were received from. They are closed after
    /// their receives are cancelled: as long as a receive lasts, the ring goes on taking
    /// datagrams, although the socket is closed.
    pub(super) to_cancel: Vec<(SocketKey, Retired)>,
    /// What the ring failed with: the loop ends.
    pub(super) defect: Option<io::Error>,
    /// Whether the loop runs; and how long it may yet wait before.
    pub(super) running: bool,
    pub(super) grace: Duration,
    pub(super) stats: Arc<Stats>,
    /// The budget that clients' sockets come out of.
    pub(super) descriptors: Arc<Descriptors>,
    pub(super) sockets: Slots<UdpSocket, SocketEntry>,
    pub(super) listeners: Slots<Listener, ListenerEntry>,
    pub(super) streams: Slots<Stream, Stream>,
    pub(super) associations: Associations,
    /// The way to the thread that computes handshakes.
    pub(super) post: Option<Post>,
    pub(super) outbox: Outbox,
    /// Where the next reply begins.
    arena_next: usize,
    /// Where the next stream is read to.
    pub(super) scratch_next: usize,
    /// Closed sockets whose datagrams have not left yet.
    pub(super) retired: Vec<Retired>,
    /// The place of the socket whose kernel drops are counted next.
    pub(super) next_counted: usize,
    /// Listeners' sockets, which are served in each turn while they are busy.
    pub(super) listening: Vec<SocketKey>,
    /// Memory for what streams are sent, while it waits.
    pub(super) spare: Spare,
    /// Streams that the turn had no room for: they have bytes to be read, or frames that were set
    /// aside.
    pub(super) line: VecDeque<StreamKey>,
    /// Streams with frames to be written at the flush.
    pub(super) dirty: Vec<StreamKey>,
    /// Streams that wait for their last bytes to be taken.
    pub(super) draining: Vec<StreamKey>,
    /// Streams that failed while being written; the service is yet to hear of it.
    pub(super) failed: Vec<(StreamKey, StreamEnd)>,
    /// When streams that are being opened will have taken too long, by their keys' bits; also
    /// those that are open by now, or gone.
    pub(super) opening: BinaryHeap<Reverse<(Duration, u64)>>,
    /// The turn's monotonic time.
    pub(super) now: Duration,
    pub(super) stopped: bool,
}

/// A socket that is about to be closed, and then its descriptor given back.
pub(super) type Retired = (OwnedFd, Option<Descriptor>);

/// A UDP socket in the loop.
pub(super) struct SocketEntry {
    pub(super) socket: UdpSocket,
    /// A relayed socket's; given back after the socket is closed.
    pub(super) descriptor: Option<Descriptor>,
    pub(super) tag: u64,
    pub(super) share: Share,
    /// Kernel drops counted so far.
    pub(super) drops: u64,
    /// What is to be done before the service sees a datagram; usually nothing.
    pub(super) screen: Option<Box<Screen>>,
    /// Whether the ring serves it, and whether it is receiving from it now.
    pub(super) ringed: bool,
    pub(super) receiving: bool,
    /// The turn in which it was last received from, by its number.
    pub(super) received_in: u64,
}

/// A TCP listener in the loop.
pub(super) struct ListenerEntry {
    pub(super) listener: Listener,
    pub(super) listening: StreamListenerOptions,
    /// Not watched for the moment: the process is out of descriptors.
    pub(super) paused: bool,
}

impl Io {
    pub(super) fn new(backend: Backend) -> io::Result<Self> {
        let (region, ring) = match backend {
            Backend::Epoll => (Arc::new(Region::new(SLOTS_AND_REPLIES.end)?), None),
            Backend::IoUring => {
                let region = Arc::new(Region::new(BUFFERS.end)?);
                (Arc::clone(&region), Some(Ring::new(region, RING)?))
            }
        };
        Ok(Self {
            region,
            epoll: Epoll::new()?,
            ring,
            to_receive: Vec::new(),
            to_cancel: Vec::new(),
            defect: None,
            running: false,
            grace: GRACE,
            stats: Arc::new(Stats::default()),
            descriptors: Descriptors::unlimited(),
            sockets: Slots::new(),
            listeners: Slots::new(),
            streams: Slots::new(),
            associations: Associations::new(),
            post: None,
            outbox: Outbox::new(),
            arena_next: ARENA.start,
            scratch_next: SCRATCH.start,
            retired: Vec::new(),
            next_counted: 0,
            listening: Vec::new(),
            spare: Spare::default(),
            line: VecDeque::new(),
            dirty: Vec::new(),
            draining: Vec::new(),
            failed: Vec::new(),
            opening: BinaryHeap::new(),
            now: Duration::ZERO,
            stopped: false,
        })
    }

    /// The counters of this worker.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Has every socket that a client causes come out of `budget`, which all workers share. Before,
    /// there is no limit but the kernel's.
    pub fn limit_descriptors(&mut self, budget: Arc<Descriptors>) {
        self.descriptors = budget;
    }

    /// Ends [`EventLoop::run`](super::EventLoop::run) after this batch.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Room for one reply, [`MAX_REPLY`] bytes of undefined content. What is to leave of it is then
    /// named by [`reply`](Self::reply) or [`reply_frame`](Self::reply_frame); what is not is
    /// given again.
    pub fn reply_buffer(&mut self) -> &mut [u8] {
        let span = self.reply_room();
        // SAFETY: nothing queued lies behind `arena_next`, and the slice borrows `self`, the only
        // way to this room.
        unsafe { self.region.bytes_mut(span) }
    }

    fn reply_room(&mut self) -> Span {
        if ARENA.end - self.arena_next < MAX_REPLY {
            self.flush_datagrams();
        }
        Span { start: self.arena_next, end: self.arena_next + MAX_REPLY }
    }

    /// Sends the first `len` bytes of [`reply_buffer`](Self::reply_buffer) as a datagram.
    ///
    /// # Panics
    /// If `len` is over [`MAX_REPLY`].
    pub fn reply(&mut self, route: &Route, len: usize) {
        let span = self.take_reply(len);
        self.send(route, span);
    }

    /// The same, and DF stays clear however small it is: for datagrams that are to find out whether
    /// the path takes fragments.
    ///
    /// # Panics
    /// If `len` is over [`MAX_REPLY`].
    pub fn reply_in_fragments(&mut self, route: &Route, len: usize) {
        let span = self.take_reply(len);
        self.queue(route, &[span], true);
    }

    fn take_reply(&mut self, len: usize) -> Span {
        let span = self.reply_span(len);
        // The next reply begins on a cache line of its own.
        self.arena_next = (span.end.next_multiple_of(64)).min(ARENA.end);
        span
    }

    /// Queues the first `len` bytes of [`reply_buffer`](Self::reply_buffer) as one frame of a
    /// stream.
    ///
    /// # Errors
    /// [`Unsent`]: it was dropped and counted.
    ///
    /// # Panics
    /// If `len` is over [`MAX_REPLY`].
    pub fn reply_frame(&mut self, stream: StreamKey, len: usize) -> Result<(), Unsent> {
        let span = self.reply_span(len);
        let region = Arc::clone(&self.region);
        // SAFETY: the room behind `arena_next` is written through `reply_buffer` only, which needs
        // `self`.
        self.queue_frame(stream, &[unsafe { region.bytes(span) }])
    }

    pub(super) fn reply_span(&self, len: usize) -> Span {
        let span = Span { start: self.arena_next, end: self.arena_next + len };
        assert!(len <= MAX_REPLY && span.end <= ARENA.end, "a reply fits its buffer");
        span
    }

    /// Sends `span` of the packet in hand as a datagram.
    pub fn send(&mut self, route: &Route, span: Span) {
        self.queue(route, &[span], false);
    }

    /// Queues `parts`, at most three, as one datagram.
    fn queue(&mut self, route: &Route, parts: &[Span], may_fragment: bool) {
        let Some(entry) = self.sockets.get(route.socket) else {
            self.stats.dropped_socket_gone.add(1);
            return;
        };
        let destination = Destination {
            fd: entry.socket.as_raw_fd(),
            home: entry.socket.home(),
            send_only: entry.socket.send_only(),
            ringed: entry.ringed.then_some(route.socket),
            to: route.to,
            from: route.from.filter(|_| entry.socket.is_wildcard()),
            tos: route.tos,
            dont_fragment: route.dont_fragment,
            may_fragment,
        };
        if self.outbox.is_full() {
            self.flush_outbox(); // the memory is kept: the parts lie in it
        }
        self.outbox.push(&self.region, parts, &destination, self.now);
    }

    /// Sends `body` of the packet's payload as a datagram, with `header` in front and `padding`
    /// zero bytes behind: in place where there is room, else as parts that the kernel puts
    /// together.
    ///
    /// # Panics
    /// If `body` is not a range of the payload, `padding` is over 3, or `header` is over
    /// [`MAX_REPLY`].
    pub fn forward(
        &mut self,
        route: &Route,
        packet: &mut Packet<'_>,
        header: &[u8],
        body: Range<usize>,
        padding: usize,
    ) {
        if let Some(front) = packet.front_mut(body.start, header.len()) {
            front.copy_from_slice(header);
            if let Some(span) = packet.span(header.len(), body.clone(), padding) {
                self.send(route, span);
                return;
            }
        }
        let front = self.keep(header);
        let zeros = Span { start: ZEROS.start, end: ZEROS.start + padding };
        assert!(zeros.end <= ZEROS.end, "the padding of a ChannelData message or an attribute");
        self.queue(route, &[front, packet.part(&body), zeros], false);
    }

    /// Keeps a copy of `header` until the flush.
    fn keep(&mut self, header: &[u8]) -> Span {
        self.reply_buffer()[..header.len()].copy_from_slice(header);
        let span = self.reply_span(header.len());
        self.arena_next = span.end;
        span
    }

    /// Queues `body` of the packet's payload, with `header` in front and `padding` zero bytes
    /// behind, as one frame of a stream.
    ///
    /// # Errors
    /// [`Unsent`]: it was dropped and counted.
    ///
    /// # Panics
    /// If `body` is not a range of the payload, or `padding` is over 3.
    pub fn forward_frame(
        &mut self,
        stream: StreamKey,
        packet: &Packet<'_>,
        header: &[u8],
        body: Range<usize>,
        padding: usize,
    ) -> Result<(), Unsent> {
        self.queue_frame(stream, &[header, &packet.payload()[body], &[0; 3][..padding]])
    }

    /// Sends the datagrams of the batch so far and makes their memory free. The loop does this
    /// after each batch.
    pub(super) fn flush_datagrams(&mut self) {
        self.flush_outbox();
        self.free_batch();
    }

    fn flush_outbox(&mut self) {
        if self.ring.is_none() {
            self.outbox.flush(self.now, &self.stats);
        } else if let Err(error) = self.flush_ring() {
            self.defect = Some(error);
        }
    }

    /// What was queued has left: its memory is free.
    pub(super) fn free_batch(&mut self) {
        self.arena_next = ARENA.start;
        self.free_scratch();
        self.retired.clear();
    }

    /// Closes the socket of `entry` once what it has to send is sent and the ring receives from it
    /// no more, and gives its descriptor back then.
    pub(super) fn retire(&mut self, key: SocketKey, entry: SocketEntry) {
        let SocketEntry { socket, descriptor, receiving, .. } = entry;
        let retired: Retired = (socket.into(), descriptor);
        if receiving {
            self.to_cancel.push((key, retired));
        } else if !self.outbox.is_empty() {
            // It stays in the epoll instance for the rest of the turn; its events are stale by
            // their key.
            self.retired.push(retired);
        }
    }

    /// Whether sockets that were released are still open.
    pub(super) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
            || !self.to_cancel.is_empty()
            || self.ring.as_ref().is_some_and(Ring::is_ending)
    }

    /// Where a listener's socket or a relayed socket is bound.
    pub fn local_addr(&self, socket: SocketKey) -> Option<SocketAddr> {
        Some(self.sockets.get(socket)?.socket.local_addr())
    }

    /// Where a TCP listener is bound.
    pub fn listener_addr(&self, listener: ListenerKey) -> Option<SocketAddr> {
        Some(self.listeners.get(listener)?.listener.local_addr())
    }
}

/// Why a frame was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// The stream has [`MAX_QUEUE`](crate::MAX_QUEUE) bytes waiting.
    QueueFull,
    /// The stream or association is gone, or the client has not yet said whether it speaks TLS.
    Gone,
    /// It is longer than a DTLS record may be, 2^14 bytes.
    TooLong,
}
