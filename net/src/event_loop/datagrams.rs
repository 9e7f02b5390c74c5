//! A worker's UDP sockets and its outgoing batch.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::arrival::Route;
use super::demux::Demux;
use super::receive_limit::ReceiveLimit;
use crate::descriptors::Descriptor;
use crate::keys::{Socket, SocketKey};
use crate::region::{Region, Span};
use crate::slots::Slots;
use crate::stats::Stats;
use crate::udp::{Destination, Outbox, UdpSocket};

/// Relayed sockets whose kernel drops are counted at a time, each by a system call.
const COUNTED: usize = 64;

/// A socket that is about to be closed, and the descriptor of the budget that is given back after
/// it.
pub(super) type Released = (OwnedFd, Option<Descriptor>);

/// The UDP sockets of one worker, and what they are about to send.
pub(super) struct Datagrams {
    sockets: Slots<Socket, SocketEntry>,
    /// The listeners among them, which are served in each turn while they are busy.
    listeners: Vec<SocketKey>,
    outbox: Outbox,
    /// Released sockets whose datagrams have not left yet.
    released: Vec<Released>,
    /// The table index of the socket whose kernel drops are counted next.
    next_counted: usize,
    stats: Arc<Stats>,
}

/// A UDP socket in the loop.
pub(super) struct SocketEntry {
    pub(super) socket: UdpSocket,
    /// Of the clients' budget, for a relayed socket. It is given back after the socket is closed.
    pub(super) descriptor: Option<Descriptor>,
    pub(super) tag: u64,
    pub(super) limit: ReceiveLimit,
    /// For a listener: the kinds of datagrams that it takes, if not all go to the service as they
    /// are.
    pub(super) demux: Option<Box<Demux>>,
    /// The turn, by its number, in which it was last received from.
    pub(super) received_in: u64,
    /// Whether its datagrams are sent and received by requests of a ring.
    submits: bool,
    /// Whether a ring is receiving from it now.
    receiving: bool,
    /// Kernel drops counted so far.
    drops: u64,
}

impl SocketEntry {
    pub(super) fn new(
        socket: UdpSocket,
        descriptor: Option<Descriptor>,
        tag: u64,
        limit: ReceiveLimit,
        demux: Option<Box<Demux>>,
    ) -> Self {
        Self {
            socket,
            descriptor,
            tag,
            limit,
            demux,
            received_in: 0,
            submits: false,
            receiving: false,
            drops: 0,
        }
    }

    fn count_drops(&mut self, stats: &Stats) {
        if let Ok(drops) = self.socket.receive_queue_drops() {
            stats.dropped_receive_queue_full.add(drops.saturating_sub(self.drops));
            self.drops = drops;
        }
    }
}

impl Datagrams {
    pub(super) fn new(stats: Arc<Stats>) -> Self {
        Self {
            sockets: Slots::new(),
            listeners: Vec::new(),
            outbox: Outbox::new(),
            released: Vec::new(),
            next_counted: 0,
            stats,
        }
    }

    pub(super) fn get(&self, key: SocketKey) -> Option<&SocketEntry> {
        self.sockets.get(key)
    }

    pub(super) fn get_mut(&mut self, key: SocketKey) -> Option<&mut SocketEntry> {
        self.sockets.get_mut(key)
    }

    /// Adds a socket; `submits`: a ring serves it.
    pub(super) fn insert(&mut self, entry: SocketEntry, submits: bool) -> SocketKey {
        self.outbox.forget(entry.socket.as_raw_fd());
        let is_listener = entry.limit.is_listener();
        let key = self.sockets.insert(SocketEntry { submits, ..entry });
        if is_listener {
            self.listeners.push(key);
        }
        self.note_open();
        key
    }

    /// Removes a socket that could not be watched.
    pub(super) fn discard(&mut self, key: SocketKey) {
        self.sockets.remove(key);
        self.listeners.retain(|listener| *listener != key);
        self.note_open();
    }

    /// Removes a relayed socket, to be closed. Also whether a ring was receiving from it.
    pub(super) fn remove(&mut self, key: SocketKey) -> Option<(Released, bool)> {
        if self.listeners.contains(&key) {
            return None;
        }
        let mut entry = self.sockets.remove(key)?;
        entry.count_drops(&self.stats);
        self.note_open();
        Some(((entry.socket.into(), entry.descriptor), entry.receiving))
    }

    fn note_open(&self) {
        self.stats.sockets_open.set(self.sockets.len() as u64);
    }

    pub(super) fn listeners(&self) -> &[SocketKey] {
        &self.listeners
    }

    /// Whether the socket's last receive got all that it asked for.
    pub(super) fn is_busy(&self, key: SocketKey) -> bool {
        self.sockets.get(key).is_some_and(|entry| entry.limit.is_busy())
    }

    pub(super) fn has_busy_listener(&self) -> bool {
        self.listeners.iter().any(|key| self.is_busy(*key))
    }

    /// Notes that a ring receives from the socket from now on. Its descriptor; `None`: it is gone.
    pub(super) fn begin_receive(&mut self, key: SocketKey) -> Option<RawFd> {
        let entry = self.sockets.get_mut(key)?;
        entry.receiving = true;
        Some(entry.socket.as_raw_fd())
    }

    /// Notes that a ring receives from the socket no more. Whether the socket is still there.
    pub(super) fn end_receive(&mut self, key: SocketKey) -> bool {
        self.sockets.get_mut(key).map(|entry| entry.receiving = false).is_some()
    }

    /// The sockets that a ring receives from.
    pub(super) fn receiving(&self) -> Vec<SocketKey> {
        let all = (0..self.sockets.places()).filter_map(|index| self.sockets.at(index));
        all.filter(|(_, entry)| entry.receiving).map(|(key, _)| key).collect()
    }

    /// Closes a removed socket, as soon as everything that it has to send is sent.
    pub(super) fn close_after_flush(&mut self, socket: Released) {
        if !self.outbox.is_empty() {
            // It stays in the epoll instance for the rest of the turn; its events are stale by
            // their key.
            self.released.push(socket);
        }
    }

    /// Closes a removed socket with the next [`close_released`](Self::close_released).
    pub(super) fn close_later(&mut self, socket: Released) {
        self.released.push(socket);
    }

    pub(super) fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// Closes the released sockets: everything that was queued has left.
    pub(super) fn close_released(&mut self) {
        self.released.clear();
    }

    #[cfg(test)]
    pub(super) fn released(&self) -> usize {
        self.released.len()
    }

    /// Where a datagram leaves from and goes to. `None`, and counted: the socket is gone.
    pub(super) fn destination(&self, route: &Route, may_fragment: bool) -> Option<Destination> {
        let Some(entry) = self.sockets.get(route.socket) else {
            self.stats.dropped_socket_gone.add(1);
            return None;
        };
        Some(Destination {
            fd: entry.socket.as_raw_fd(),
            home: entry.socket.home(),
            send_only: entry.socket.send_only(),
            submit_as: entry.submits.then_some(route.socket),
            to: route.to,
            from: route.from.filter(|_| entry.socket.is_wildcard()),
            tos: route.tos,
            dont_fragment: route.dont_fragment,
            may_fragment,
        })
    }

    /// Queues `parts`, at most three, as one datagram. The outbox must not be full.
    pub(super) fn push(
        &mut self,
        region: &Region,
        parts: &[Span],
        destination: &Destination,
        now: Duration,
    ) {
        self.outbox.push(region, parts, destination, now);
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(super) fn outbox_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    pub(super) fn local_addr(&self, key: SocketKey) -> Option<SocketAddr> {
        Some(self.sockets.get(key)?.socket.local_addr())
    }

    /// Brings the count of kernel drops up to date: of all listeners, and of some other sockets in
    /// rotation. Drops that this misses are counted when their socket closes.
    pub(super) fn count_all_drops(&mut self) {
        for index in 0..self.listeners.len() {
            self.count_drops_of(self.listeners[index]);
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
            entry.count_drops(&self.stats);
        }
    }
}

/// Whether an address is in use, by this error of a bind.
pub(super) fn is_in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}
