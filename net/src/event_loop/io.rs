//! The calls that a service may make: send, reply, open and close.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use super::arrival::Route;
use super::associations::{AssociationInfo, Associations};
use super::backend::Backend;
use super::datagrams::{Datagrams, SocketEntry, is_in_use};
use super::demux::Demux;
use super::listener_options::{DatagramListenerOptions, StreamListenerOptions};
use super::listeners::Listeners;
use super::memory::Memory;
use super::receive_limit::ReceiveLimit;
use super::streams::{Streams, Unsent};
use crate::descriptors::{self, Descriptor, Descriptors, Use};
use crate::epoll::{Epoll, Events, Interest, Source};
use crate::keys::{AssociationKey, ListenerKey, SocketKey, StreamKey};
use crate::packet::Packet;
use crate::region::Span;
use crate::secure::HandshakerClient;
use crate::secure::dtls::Pipe;
use crate::stats::Stats;
use crate::tcp::Listener;
use crate::udp::{UdpOptions, UdpSocket};
use crate::uring;

/// How long all binds before the loop runs may wait together for ports that a killed process held,
/// and how often they try.
const GRACE: Duration = Duration::from_millis(400);
const GRACE_STEP: Duration = Duration::from_millis(5);

/// The worker's sockets, streams and outgoing batch, as its [`Service`](super::Service) sees them.
///
/// Datagrams leave at the end of the batch in the order in which they were queued. A key of
/// something that is gone is no error: what is sent to it is dropped and counted.
pub struct Io {
    // The ring in it is dropped before the memory that the kernel receives into.
    pub(super) backend: Backend,
    pub(super) datagrams: Datagrams,
    pub(super) listeners: Listeners,
    pub(super) streams: Streams,
    pub(super) associations: Associations,
    pub(super) memory: Memory,
    epoll: Arc<Epoll>,
    pub(super) stats: Arc<Stats>,
    /// The budget that clients' sockets come out of.
    pub(super) descriptors: Arc<Descriptors>,
    /// How long binds may still wait; nothing once the loop runs.
    grace: Duration,
    /// The turn's monotonic time.
    pub(super) now: Duration,
    pub(super) stopped: bool,
}

impl Io {
    pub(super) fn new(
        kind: uring::Backend,
        handshaker: Option<HandshakerClient>,
    ) -> io::Result<Self> {
        let memory = Memory::new(kind == uring::Backend::IoUring)?;
        let epoll = Arc::new(Epoll::new()?);
        let stats = Arc::new(Stats::default());
        Ok(Self {
            backend: Backend::new(kind, &memory, Arc::clone(&epoll), Arc::clone(&stats))?,
            datagrams: Datagrams::new(Arc::clone(&stats)),
            listeners: Listeners::new(Arc::clone(&epoll)),
            streams: Streams::new(Arc::clone(&epoll), handshaker.clone(), Arc::clone(&stats)),
            associations: Associations::new(handshaker, Arc::clone(&stats)),
            memory,
            epoll,
            stats,
            descriptors: Descriptors::unlimited(),
            grace: GRACE,
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
}

/// Sockets and listeners.
impl Io {
    /// Adds a socket that clients send to: it may bring a whole batch in each turn.
    ///
    /// # Errors
    /// `InvalidInput` for DTLS without a handshaker; or the kernel has no memory to watch it.
    pub fn listen_udp(
        &mut self,
        socket: UdpSocket,
        options: DatagramListenerOptions,
    ) -> io::Result<SocketKey> {
        if options.dtls && !self.associations.are_possible() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let fd = socket.as_raw_fd();
        let (tag, limit) = (options.tag, ReceiveLimit::listener());
        let entry = SocketEntry::new(socket, None, tag, limit, Demux::of(options));
        let key = self.datagrams.insert(entry, false);
        let watched = self.epoll.add(fd, Source::Socket(key), Interest::READ);
        watched.inspect_err(|_| self.datagrams.discard(key))?;
        Ok(key)
    }

    /// Adds a TCP listener.
    ///
    /// # Errors
    /// `InvalidInput` for neither plain nor TLS, or for TLS without a handshaker; or the kernel has
    /// no memory to watch it.
    pub fn listen_tcp(
        &mut self,
        listener: Listener,
        options: StreamListenerOptions,
    ) -> io::Result<ListenerKey> {
        if options.tls && !self.streams.can_be_secure() || !options.tls && !options.plain {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.listeners.insert(listener, options)
    }

    /// Binds a socket of its own, such as a relayed transport address, and adds it. Its datagrams
    /// carry `tag`.
    ///
    /// # Errors
    /// The kernel's: the port is in use, the address is not this host's, no descriptor is left. The
    /// last one also when the budget for clients
    /// ([`limit_descriptors`](Self::limit_descriptors)) is used up.
    pub fn bind_udp(
        &mut self,
        local: SocketAddr,
        options: &UdpOptions,
        tag: u64,
    ) -> io::Result<SocketKey> {
        let descriptor = self.take_descriptor().ok_or_else(descriptors::none_left)?;
        let mut bound = UdpSocket::bind(local, options);
        if bound.is_err() && (self.datagrams.has_released() || self.backend.holds_ports()) {
            self.close_released(); // the port or the descriptor may be one just released
            bound = UdpSocket::bind(local, options);
        }
        let socket = match bound {
            Err(error) if is_in_use(&error) => self.bind_late(local, options)?,
            bound => bound?,
        };
        let fd = socket.as_raw_fd();
        let limit = ReceiveLimit::relayed();
        let entry = SocketEntry::new(socket, Some(descriptor), tag, limit, None);
        let key = self.datagrams.insert(entry, self.backend.submits());
        let watched = self.backend.watch(key, fd);
        watched.inspect_err(|_| self.datagrams.discard(key))?;
        Ok(key)
    }

    /// A descriptor for a relayed socket; maybe one just released.
    fn take_descriptor(&mut self) -> Option<Descriptor> {
        if self.descriptors.left() == 0
            && (self.datagrams.has_released() || self.backend.holds_descriptors())
        {
            self.close_released();
        }
        self.descriptors.take(Use::Relayed)
    }

    /// Closes the released sockets after what they have to send has left, and waits until the
    /// kernel holds none of them any more.
    fn close_released(&mut self) {
        self.flush_datagrams();
        self.backend.settle(&mut self.datagrams);
        self.free_batch();
    }

    /// Binds an address that is in use, maybe by a socket of an earlier process.
    fn bind_late(&mut self, local: SocketAddr, options: &UdpOptions) -> io::Result<UdpSocket> {
        // Before the loop runs, nothing waits for it. The process before this one may have been
        // killed with the port in its ring, and the kernel takes a while to clear that up.
        while !self.grace.is_zero() {
            std::thread::sleep(GRACE_STEP);
            self.grace = self.grace.saturating_sub(GRACE_STEP);
            if let Ok(socket) = UdpSocket::bind(local, options) {
                return Ok(socket);
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Closes a socket that [`bind_udp`](Self::bind_udp) opened. What it was to send before still
    /// leaves; nothing of it arrives any more. A listener's socket stays open: closing one of a
    /// group would renumber the others (see [`steering`](crate::steering)).
    pub fn release_udp(&mut self, key: SocketKey) {
        if let Some((socket, receiving)) = self.datagrams.remove(key) {
            self.backend.release(key, socket, receiving, &mut self.datagrams);
        }
    }

    /// Changes the number that a socket's datagrams carry.
    pub fn set_socket_tag(&mut self, key: SocketKey, tag: u64) {
        if let Some(entry) = self.datagrams.get_mut(key) {
            entry.tag = tag;
        }
    }

    /// The address that a listener's socket or a relayed socket is bound to.
    pub fn local_addr(&self, socket: SocketKey) -> Option<SocketAddr> {
        self.datagrams.local_addr(socket)
    }

    /// The address that a TCP listener is bound to.
    pub fn listener_addr(&self, listener: ListenerKey) -> Option<SocketAddr> {
        self.listeners.local_addr(listener)
    }
}

/// Datagrams.
impl Io {
    /// Room for one reply, [`MAX_REPLY`](crate::MAX_REPLY) bytes of undefined content.
    /// [`reply`](Self::reply) or [`reply_frame`](Self::reply_frame) then names what leaves of it;
    /// room that neither names is given again.
    pub fn reply_buffer(&mut self) -> &mut [u8] {
        if self.memory.is_short_of_replies() {
            self.flush_datagrams();
        }
        self.memory.reply_buffer()
    }

    /// Sends the first `len` bytes of [`reply_buffer`](Self::reply_buffer) as a datagram.
    ///
    /// # Panics
    /// If `len` is over [`MAX_REPLY`](crate::MAX_REPLY).
    pub fn reply(&mut self, route: &Route, len: usize) {
        let span = self.memory.keep_reply(len);
        self.send(route, span);
    }

    /// The same, and DF stays clear however small the datagram is: for datagrams that find out
    /// whether the path takes fragments.
    ///
    /// # Panics
    /// If `len` is over [`MAX_REPLY`](crate::MAX_REPLY).
    pub fn reply_in_fragments(&mut self, route: &Route, len: usize) {
        let span = self.memory.keep_reply(len);
        self.queue(route, &[span], true);
    }

    /// Sends `span` of the packet in hand as a datagram.
    pub fn send(&mut self, route: &Route, span: Span) {
        self.queue(route, &[span], false);
    }

    /// Queues `parts`, at most three, as one datagram.
    fn queue(&mut self, route: &Route, parts: &[Span], may_fragment: bool) {
        let Some(destination) = self.datagrams.destination(route, may_fragment) else { return };
        if self.datagrams.outbox().is_full() {
            // The memory is kept: the parts lie in it.
            self.backend.flush(&mut self.datagrams, self.now);
        }
        self.datagrams.push(self.memory.region(), parts, &destination, self.now);
    }

    /// Sends `body` of the packet's payload as a datagram, with `header` in front and `padding`
    /// zero bytes behind: in place where there is room, otherwise as parts that the kernel puts
    /// together.
    ///
    /// # Panics
    /// If `body` is not a range of the payload, `padding` is over 3, or `header` is over
    /// [`MAX_REPLY`](crate::MAX_REPLY).
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
        if self.memory.is_short_of_replies() {
            self.flush_datagrams();
        }
        let front = self.memory.keep_header(header);
        self.queue(route, &[front, packet.part(&body), Memory::padding(padding)], false);
    }
}

/// Streams.
impl Io {
    /// Queues the first `len` bytes of [`reply_buffer`](Self::reply_buffer) as one frame of a
    /// stream.
    ///
    /// # Errors
    /// [`Unsent`]: it was dropped and counted.
    ///
    /// # Panics
    /// If `len` is over [`MAX_REPLY`](crate::MAX_REPLY).
    pub fn reply_frame(&mut self, stream: StreamKey, len: usize) -> Result<(), Unsent> {
        let span = self.memory.reply_span(len);
        // SAFETY: this room is written through `reply_buffer` only, which needs `self`.
        self.streams.queue_frame(stream, &[unsafe { self.memory.region().bytes(span) }])
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
        let parts = [header, &packet.payload()[body], &[0; 3][..padding]];
        self.streams.queue_frame(stream, &parts)
    }

    /// Closes a stream: what is queued is still written, for at most five seconds.
    /// [`Service::closed`](super::Service::closed) is not called.
    pub fn close_stream(&mut self, key: StreamKey) {
        self.streams.close(key, self.now);
    }

    /// Closes a stream at once, dropping what is queued; the peer sees a reset.
    /// [`Service::closed`](super::Service::closed) is not called.
    pub fn reset_stream(&mut self, key: StreamKey) {
        self.streams.reset(key);
    }

    /// Bytes that the stream's peer has not taken yet. `None`: the stream is gone.
    pub fn stream_queue_len(&self, key: StreamKey) -> Option<usize> {
        self.streams.queue_len(key)
    }
}

/// Associations.
impl Io {
    /// Encrypts `parts` as one datagram of an association and queues it. `tos`: DSCP (upper six
    /// bits) and ECN (lower two).
    ///
    /// # Errors
    /// [`Unsent`]: it was dropped and counted.
    pub fn send_secure(
        &mut self,
        key: AssociationKey,
        parts: &[&[u8]],
        tos: u8,
    ) -> Result<(), Unsent> {
        let (route, pipe) = self.associations.seal(key, parts)?;
        self.send_written(&Route { tos, ..route }, &pipe);
        self.associations.return_writer(pipe);
        Ok(())
    }

    /// Encrypts the first `len` bytes of [`reply_buffer`](Self::reply_buffer) as one datagram of an
    /// association and queues it.
    ///
    /// # Errors
    /// [`Unsent`]: it was dropped and counted.
    ///
    /// # Panics
    /// If `len` is over [`MAX_REPLY`](crate::MAX_REPLY).
    pub fn reply_secure(&mut self, key: AssociationKey, len: usize) -> Result<(), Unsent> {
        let span = self.memory.reply_span(len);
        // SAFETY: this room is written through `reply_buffer` only, which needs `self`, and is
        // asked for after `seal` has read the bytes for the last time.
        let reply = unsafe { self.memory.region().bytes(span) };
        let (route, pipe) = self.associations.seal(key, &[reply])?;
        self.send_written(&Route { tos: 0, ..route }, &pipe);
        self.associations.return_writer(pipe);
        Ok(())
    }

    /// Closes an association: the client is told.
    /// [`Service::dissociated`](super::Service::dissociated) is not called.
    pub fn close_association(&mut self, key: AssociationKey) {
        if let Some(mut association) = self.associations.forget(key) {
            let mut pipe = self.associations.take_writer();
            association.records.close(&mut pipe);
            self.send_written(&association.route, &pipe);
            self.associations.return_writer(pipe);
        }
    }

    /// The addresses and the tag of an association. `None`: it is gone.
    pub fn association(&self, key: AssociationKey) -> Option<AssociationInfo> {
        self.associations.info(key)
    }

    /// Queues what OpenSSL wrote.
    pub(super) fn send_written(&mut self, route: &Route, pipe: &Pipe) {
        for datagram in pipe.written() {
            self.reply_buffer()[..datagram.len()].copy_from_slice(datagram);
            self.reply(route, datagram.len());
        }
    }
}

/// The loop's own calls.
impl Io {
    /// The loop begins to run, on the calling thread.
    pub(super) fn start(&mut self) -> io::Result<()> {
        self.grace = Duration::ZERO;
        self.backend.start()
    }

    pub(super) fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// Waits for events; a backend that sends with its wait sends what is queued.
    pub(super) fn wait(
        &mut self,
        events: &mut Events,
        rest: Duration,
        patience: Duration,
    ) -> io::Result<()> {
        let times = (rest, patience);
        self.backend.wait(events, &mut self.datagrams, &mut self.memory, self.now, times)
    }

    /// Sends the datagrams of the batch so far and makes their memory free.
    pub(super) fn flush_datagrams(&mut self) {
        self.backend.flush(&mut self.datagrams, self.now);
        self.free_batch();
    }

    /// Notes that the batch has left: its memory is free, and released sockets are closed.
    fn free_batch(&mut self) {
        self.memory.free();
        self.datagrams.close_released();
    }

    /// Room for a read from a stream that nothing queued lies in.
    pub(super) fn scratch_room(&mut self) -> Span {
        if self.memory.is_short_of_scratch() {
            self.flush_datagrams();
        }
        self.memory.scratch_room()
    }

    /// Slots that nothing queued lies in: the first, and how many.
    pub(super) fn claim_slots(&mut self, wanted: usize) -> (usize, usize) {
        if self.datagrams.outbox().is_empty() {
            self.memory.set_next_slot(0);
        }
        if self.memory.is_short_of_slots(wanted) {
            self.flush_datagrams();
            self.memory.set_next_slot(0);
        }
        self.memory.free_slots(wanted)
    }

    /// The loop ends: what is queued leaves, and the kernel holds no socket any more. Until then
    /// none is closed.
    pub(super) fn shut_down(&mut self) -> io::Result<()> {
        self.flush_datagrams();
        self.backend.shut_down(&mut self.datagrams)
    }
}
