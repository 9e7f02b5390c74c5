//! UDP sockets in the loop: opening, closing, receiving, ICMP errors.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::budget::take;
use super::io::{Io, SocketEntry};
use super::screen::Screen;
use super::service::{Arrival, Service};
use super::share::Share;
use super::{DatagramListenerOptions, EventLoop, SocketKey};
use crate::clock::Sample;
use crate::descriptors::{self, Descriptor, Use};
use crate::epoll::{Events, Interest, Source};
use crate::packet::{Packet, Room, SLOTS};
use crate::stats::Stats;
use crate::udp::{Received, UdpOptions, UdpSocket, read_error, take_pending};

/// Free slots below which a batch is flushed rather than cut short.
const WORTHWHILE: usize = 16;

/// Relayed sockets whose kernel drops are counted at a time, each by a system call.
const COUNTED: usize = 64;

/// How long all binds before the loop runs may wait together for ports that a killed process held,
/// and how often they try.
pub(super) const GRACE: Duration = Duration::from_millis(400);
const GRACE_STEP: Duration = Duration::from_millis(5);

/// ICMP errors that a socket may bring in one turn.
const ERRORS: usize = 16;

impl Io {
    /// Takes in a socket that clients send to: it may bring a whole batch in each turn.
    ///
    /// # Errors
    /// `InvalidInput` for DTLS without a handshaker; or when the kernel has no memory to watch it.
    pub fn listen_udp(
        &mut self,
        socket: UdpSocket,
        listening: DatagramListenerOptions,
    ) -> io::Result<SocketKey> {
        if listening.dtls && self.post.is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let tag = listening.tag;
        let key = self.take_in((socket, None), tag, Share::listener(), Screen::of(listening))?;
        self.listening.push(key);
        Ok(key)
    }

    /// Binds a socket of its own, such as a relayed transport address, and takes it in. `tag` comes
    /// back with its datagrams.
    ///
    /// # Errors
    /// What the kernel says: the port is in use, the address is not ours, no descriptor is left.
    /// The last is also said when the budget for
    /// clients ([`limit_descriptors`](Self::limit_descriptors)) is used up.
    pub fn bind_udp(
        &mut self,
        local: SocketAddr,
        options: &UdpOptions,
        tag: u64,
    ) -> io::Result<SocketKey> {
        let descriptor = self.take_descriptor().ok_or_else(descriptors::none_left)?;
        let mut bound = UdpSocket::bind(local, options);
        if bound.is_err() && self.has_retired() {
            self.let_go(); // the port that is wanted, or the descriptor, may be one just released
            bound = UdpSocket::bind(local, options);
        }
        let socket = match bound {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                self.bind_late(local, options)?
            }
            bound => bound?,
        };
        self.take_in((socket, Some(descriptor)), tag, Share::relayed(), None)
    }

    /// A descriptor for a relayed socket; maybe one just released.
    fn take_descriptor(&mut self) -> Option<Descriptor> {
        if self.descriptors.left() == 0 && !(self.retired.is_empty() && self.to_cancel.is_empty()) {
            self.let_go();
        }
        self.descriptors.take(Use::Relayed)
    }

    /// Binds an address that is taken, maybe by a socket of an earlier process.
    fn bind_late(&mut self, local: SocketAddr, options: &UdpOptions) -> io::Result<UdpSocket> {
        // Before the loop runs nobody waits for it. The process before this one may have been
        // killed with the port in its ring, and the kernel takes a while to clear that up.
        while !self.running && !self.grace.is_zero() {
            std::thread::sleep(GRACE_STEP);
            self.grace = self.grace.saturating_sub(GRACE_STEP);
            if let Ok(socket) = UdpSocket::bind(local, options) {
                return Ok(socket);
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    fn take_in(
        &mut self,
        (socket, descriptor): (UdpSocket, Option<Descriptor>),
        tag: u64,
        share: Share,
        screen: Option<Box<Screen>>,
    ) -> io::Result<SocketKey> {
        let fd = socket.as_raw_fd();
        self.outbox.forget(fd);
        let ringed = self.ring.is_some() && !share.is_listener();
        let key = self.sockets.insert(SocketEntry {
            socket,
            descriptor,
            tag,
            share,
            drops: 0,
            screen,
            ringed,
            receiving: false,
            received_in: 0,
        });
        if ringed {
            self.to_receive.push(key);
        } else if let Err(error) = self.epoll.add(fd, Source::Socket(key), Interest::READ) {
            self.sockets.remove(key);
            return Err(error);
        }
        self.stats.sockets_open.set(self.sockets.len() as u64);
        Ok(key)
    }

    /// Closes a socket that [`bind_udp`](Self::bind_udp) opened. What it was to send before still
    /// leaves; nothing of it arrives any more. A listener's socket stays: closing one of a
    /// group would renumber the others (see [`steering`](crate::steering)).
    pub fn release_udp(&mut self, key: SocketKey) {
        if self.listening.contains(&key) {
            return;
        }
        if let Some(mut entry) = self.sockets.remove(key) {
            count_drops(&mut entry, &self.stats);
            self.retire(key, entry);
            self.stats.sockets_open.set(self.sockets.len() as u64);
        }
    }

    /// Changes the number that comes back with a socket's datagrams.
    pub fn set_socket_tag(&mut self, key: SocketKey, tag: u64) {
        if let Some(entry) = self.sockets.get_mut(key) {
            entry.tag = tag;
        }
    }

    /// Brings the count of kernel drops up to date: of the listeners' sockets, and of some others,
    /// in rotation. What those have lost since is counted when they close.
    pub(super) fn count_all_drops(&mut self) {
        for index in 0..self.listening.len() {
            self.count_drops_of(self.listening[index]);
        }
        for _ in 0..COUNTED.min(self.sockets.places()) {
            let index = self.next_counted % self.sockets.places();
            self.next_counted = index + 1;
            if let Some((key, _)) = self.sockets.at(index) {
                self.count_drops_of(key);
            }
        }
    }

    fn count_drops_of(&mut self, key: SocketKey) {
        if let Some(entry) = self.sockets.get_mut(key) {
            count_drops(entry, &self.stats);
        }
    }
}

fn count_drops(entry: &mut SocketEntry, stats: &Stats) {
    if let Ok(drops) = entry.socket.receive_queue_drops() {
        stats.dropped_receive_queue_full.add(drops.saturating_sub(entry.drops));
        entry.drops = drops;
    }
}

impl EventLoop {
    /// Receives the socket's share of this turn with one system call and hands it to the service.
    pub(super) fn receive<S: Service>(&mut self, now: Sample, key: SocketKey, service: &mut S) {
        let (first, limit) = {
            let Some(entry) = self.io.sockets.get(key) else {
                return; // released earlier in this batch
            };
            let wanted = entry.share.wanted();
            self.claim_slots(wanted)
        };
        let Some(entry) = self.io.sockets.get_mut(key) else {
            return;
        };
        self.io.stats.receive_calls.add(1);
        entry.received_in = self.io.stats.turns.value();
        let Ok(count) = self.receiver.receive(&entry.socket, first, limit) else {
            // Nothing there; or the error that ICMP left pending, which is cleared by having been
            // reported (row H38).
            entry.share.note(limit, 0, 0);
            return;
        };
        let pushed = self.io.outbox.pushed();
        self.next_slot = first + count;
        let mut datagrams = 0;
        for slot in first..first + count {
            datagrams += self.look_at(now, slot, key, service);
        }
        if let Some(entry) = self.io.sockets.get_mut(key) {
            entry.share.note(limit, count, datagrams);
        }
        if self.io.outbox.pushed() == pushed {
            self.next_slot = first; // nothing of these slots waits to be sent
        }
    }

    /// Receives a datagram from each of the relayed sockets that stand next in `events`, and only
    /// then hands them over, in their order: alternating between the kernel's code and the
    /// service's for every datagram would cost both their places in the processor's caches. Returns
    /// how many events are done with; none, if the first is another matter.
    pub(super) fn receive_each<S: Service>(
        &mut self,
        now: Sample,
        events: &Events,
        from: usize,
        service: &mut S,
    ) -> usize {
        if !matches!(events.at(from).0, Source::Socket(_)) {
            return 0; // it wants no slots
        }
        let mut run = std::mem::take(&mut self.run);
        let (first, limit) = self.claim_slots(events.len() - from);
        let mut seen = 0;
        while run.len() < limit && from + seen < events.len() {
            let (Source::Socket(key), ready) = events.at(from + seen) else { break };
            if let Some(entry) = self.io.sockets.get_mut(key) {
                if ready.error() || entry.share.is_listener() || entry.share.wanted() > 1 {
                    break;
                }
                self.io.stats.receive_calls.add(1);
                match self.receiver.receive(&entry.socket, first + run.len(), 1) {
                    Ok(_) => run.push(key),
                    Err(_) => entry.share.note(1, 0, 0),
                }
            }
            seen += 1;
        }
        let pushed = self.io.outbox.pushed();
        self.next_slot = first + run.len();
        for (slot, key) in (first..).zip(run.drain(..)) {
            let datagrams = self.look_at(now, slot, key, service);
            if let Some(entry) = self.io.sockets.get_mut(key) {
                entry.share.note(1, 1, datagrams);
            }
        }
        if self.io.outbox.pushed() == pushed {
            self.next_slot = first; // nothing of these slots waits to be sent
        }
        self.run = run;
        seen
    }

    /// Gives the service what a slot has received, unless the socket was released meanwhile. How
    /// many datagrams it is.
    fn look_at<S: Service>(
        &mut self,
        now: Sample,
        slot: usize,
        key: SocketKey,
        service: &mut S,
    ) -> usize {
        let Some(received) = self.receiver.received(slot) else {
            self.io.stats.dropped_bad_source.add(1);
            return 0;
        };
        self.arrived(now, key, &received, service);
        received.datagrams()
    }

    /// Gives the service what arrived on a socket, each datagram on its own, in order, as long as
    /// the socket is there.
    ///
    /// The bytes of `received` must lie in the worker's region and be touched by nobody else until
    /// the next flush.
    pub(super) fn arrived<S: Service>(
        &mut self,
        now: Sample,
        key: SocketKey,
        received: &Received,
        service: &mut S,
    ) {
        let Some(entry) = self.io.sockets.get(key) else {
            return;
        };
        let local = entry.socket.local_addr();
        let destination =
            received.destination.map_or(local, |ip| SocketAddr::new(ip, local.port()));
        let arrival = Arrival {
            socket: key,
            tag: entry.tag,
            source: received.source,
            destination,
            tos: received.tos,
            association: None,
            via: None,
            local: destination.ip(),
        };
        let passage = entry.screen.as_ref().map(|screen| screen.passage(received.source.ip()));
        let datagrams = received.datagrams() as u64;
        self.io.stats.datagrams_received.add(datagrams);
        self.io.stats.datagrams_received_bytes.add(received.room.payload.len() as u64);
        if datagrams > 1 {
            self.io.stats.datagrams_received_merged.add(datagrams);
        }
        for room in received.segments() {
            match passage {
                None => self.hand_over(now, &arrival, room, service),
                Some(passage) => self.screened(now, passage, arrival, room, service),
            }
            if self.io.sockets.get(key).is_none() {
                return;
            }
        }
    }

    /// Gives a datagram to the service where it lies.
    pub(super) fn hand_over<S: Service>(
        &mut self,
        now: Sample,
        arrival: &Arrival,
        room: Room,
        service: &mut S,
    ) {
        // SAFETY: what arrived is handed out once between two flushes, the rooms of its datagrams
        // do not overlap, and what earlier packets queued lies in their own.
        let mut packet = unsafe { Packet::new(&self.region, room) };
        service.datagram(now, arrival, &mut packet, &mut self.io);
    }

    /// Slots that nothing queued lies in: the first, and how many.
    fn claim_slots(&mut self, wanted: usize) -> (usize, usize) {
        if self.io.outbox.is_empty() {
            self.next_slot = 0;
        }
        if SLOTS - self.next_slot < wanted.min(WORTHWHILE) {
            self.io.flush_datagrams();
            self.next_slot = 0;
        }
        (self.next_slot, wanted.min(SLOTS - self.next_slot))
    }

    /// Takes the socket's errors off its queue. Whether there may be more of them.
    pub(super) fn errors<S: Service>(
        &mut self,
        now: Sample,
        key: SocketKey,
        service: &mut S,
    ) -> bool {
        for turn in 0..ERRORS {
            let Some(entry) = self.io.sockets.get(key) else {
                return false;
            };
            if !take(&mut self.budget.errors) {
                return true; // they stay in the queue, and the socket is ready in the next turn
            }
            let fd = entry.socket.as_raw_fd();
            let tag = entry.tag;
            match read_error(fd) {
                Ok(Some(error)) => {
                    self.io.stats.icmp_errors.add(1);
                    if let Some(mtu) = error.mtu() {
                        self.io.outbox.note_mtu(now.monotonic, error.peer.ip(), mtu);
                    }
                    service.icmp(now, key, tag, &error, &mut self.io);
                }
                Ok(None) => {}
                Err(_) => {
                    if turn == 0 {
                        take_pending(fd); // woken by a pending error without a queued one
                    }
                    return false;
                }
            }
        }
        true
    }
}
