//! Receiving datagrams and ICMP errors from UDP sockets, by either backend.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use super::arrival::Arrival;
use super::budget::take;
use super::demux::{Treatment, is_secure};
use super::service::Service;
use super::{EventLoop, Rejection, RejectionReason};
use crate::clock::Sample;
use crate::epoll::{Events, Source};
use crate::keys::SocketKey;
use crate::packet::{Packet, Room, SLOTS};
use crate::proxy::{self, Parsed};
use crate::udp::{Received, read_error, take_pending};
use crate::uring::{Completion, PLENTY};

/// Datagrams that a ring should bring in one turn at the most: a completion may hold dozens.
const DATAGRAMS: usize = 4 * SLOTS;

/// Maximum number of ICMP errors that one socket may bring in one turn.
const ERRORS: usize = 16;

impl EventLoop {
    /// Receives the socket's share of this turn with one system call and passes it to the service.
    pub(super) fn receive<S: Service>(&mut self, now: Sample, key: SocketKey, service: &mut S) {
        let Some(entry) = self.io.datagrams.get(key) else {
            return; // released earlier in this batch
        };
        let wanted = entry.limit.wanted();
        let (first, limit) = self.io.claim_slots(wanted);
        let Some(entry) = self.io.datagrams.get_mut(key) else {
            return;
        };
        self.io.stats.receive_calls.add(1);
        entry.received_in = self.io.stats.turns.value();
        let Ok(count) = self.receiver.receive(&entry.socket, first, limit) else {
            // Nothing there; or the error that ICMP left pending, which is cleared by having been
            // reported (row H38).
            entry.limit.note(limit, 0, 0);
            return;
        };
        let pushed = self.io.datagrams.outbox().pushed();
        self.io.memory.set_next_slot(first + count);
        let mut datagrams = 0;
        for slot in first..first + count {
            datagrams += self.deliver_slot(now, slot, key, service);
        }
        if let Some(entry) = self.io.datagrams.get_mut(key) {
            entry.limit.note(limit, count, datagrams);
        }
        if self.io.datagrams.outbox().pushed() == pushed {
            self.io.memory.set_next_slot(first); // nothing of these slots waits to be sent
        }
    }

    /// Receives a datagram from each of the relayed sockets that stand next in `events`, and only
    /// then delivers them, in their order: alternating between the kernel's code and the service's
    /// for every datagram would cost both their places in the processor's caches. Returns how many
    /// events were served; none, if the first is of another kind.
    pub(super) fn receive_each<S: Service>(
        &mut self,
        now: Sample,
        events: &Events,
        from: usize,
        service: &mut S,
    ) -> usize {
        if !matches!(events.at(from).0, Source::Socket(_)) {
            return 0; // it needs no slots
        }
        let mut run = std::mem::take(&mut self.run);
        let (first, limit) = self.io.claim_slots(events.len() - from);
        let mut seen = 0;
        while run.len() < limit && from + seen < events.len() {
            let (Source::Socket(key), ready) = events.at(from + seen) else { break };
            if let Some(entry) = self.io.datagrams.get_mut(key) {
                if ready.error() || entry.limit.is_listener() || entry.limit.wanted() > 1 {
                    break;
                }
                self.io.stats.receive_calls.add(1);
                match self.receiver.receive(&entry.socket, first + run.len(), 1) {
                    Ok(_) => run.push(key),
                    Err(_) => entry.limit.note(1, 0, 0),
                }
            }
            seen += 1;
        }
        let pushed = self.io.datagrams.outbox().pushed();
        self.io.memory.set_next_slot(first + run.len());
        for (slot, key) in (first..).zip(run.drain(..)) {
            let datagrams = self.deliver_slot(now, slot, key, service);
            if let Some(entry) = self.io.datagrams.get_mut(key) {
                entry.limit.note(1, 1, datagrams);
            }
        }
        if self.io.datagrams.outbox().pushed() == pushed {
            self.io.memory.set_next_slot(first); // nothing of these slots waits to be sent
        }
        self.run = run;
        seen
    }

    /// Delivers the message that a slot holds. Returns its number of datagrams.
    fn deliver_slot<S: Service>(
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
        self.deliver(now, key, &received, service);
        received.datagrams()
    }

    /// Serves what the backend's own receives have brought, bounded so that the listeners are
    /// served soon.
    pub(super) fn completions<S: Service>(&mut self, now: Sample, service: &mut S) {
        if !self.io.backend.submits() {
            return;
        }
        let mut left = DATAGRAMS;
        for _ in 0..PLENTY {
            if left == 0 {
                break;
            }
            match self.io.backend.next() {
                Some(Completion::Receive { socket, buffer, last }) => {
                    if let Some(buffer) = buffer {
                        match self.io.backend.take(buffer) {
                            Some(received) => {
                                left = left.saturating_sub(received.datagrams());
                                self.deliver(now, socket, &received, service);
                            }
                            None => self.io.stats.dropped_bad_source.add(1),
                        }
                    }
                    if let Some(last) = last
                        && self.io.datagrams.end_receive(socket)
                        && self.io.backend.restart(socket, last)
                    {
                        self.check_errors(now, socket, service);
                    }
                }
                Some(Completion::Watch) => {}
                None => break,
            }
        }
        for _ in 0..self.io.datagrams.outbox().error_checks() {
            if self.budget.errors == 0 {
                break;
            }
            if let Some(key) = self.io.datagrams.outbox_mut().next_error_check() {
                self.check_errors(now, key, service);
            }
        }
    }

    /// Takes a socket's errors, and has the next turn go on if there are more.
    fn check_errors<S: Service>(&mut self, now: Sample, key: SocketKey, service: &mut S) {
        if self.errors(now, key, service) {
            self.io.datagrams.outbox_mut().check_errors_of(key);
        }
    }

    /// Gives the service what arrived on a socket, each datagram by itself, in order, as long as
    /// the socket is there.
    ///
    /// The bytes of `received` must lie in the worker's region and belong to this call until the
    /// next flush.
    fn deliver<S: Service>(
        &mut self,
        now: Sample,
        key: SocketKey,
        received: &Received,
        service: &mut S,
    ) {
        let Some(entry) = self.io.datagrams.get(key) else {
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
        let treatment = entry.demux.as_ref().map(|demux| demux.treatment(received.source.ip()));
        let datagrams = received.datagrams() as u64;
        self.io.stats.datagrams_received.add(datagrams);
        self.io.stats.datagrams_received_bytes.add(received.room.payload.len() as u64);
        if datagrams > 1 {
            self.io.stats.datagrams_received_merged.add(datagrams);
        }
        for room in received.segments() {
            match treatment {
                None => self.pass_datagram(now, &arrival, room, service),
                Some(treatment) => self.demultiplex(now, treatment, arrival, room, service),
            }
            if self.io.datagrams.get(key).is_none() {
                return;
            }
        }
    }

    /// Takes the proxy's header off a datagram, and passes the rest to the service or to DTLS.
    fn demultiplex<S: Service>(
        &mut self,
        now: Sample,
        treatment: Treatment,
        arrival: Arrival,
        room: Room,
        service: &mut S,
    ) {
        let (mut arrival, mut room) = (arrival, room);
        if treatment.proxied {
            // SAFETY: these bytes are this datagram's, and no packet of it is alive yet.
            let bytes = unsafe { self.region.bytes(room.payload) };
            let header = match proxy::parse(bytes) {
                Ok(Parsed::Whole(header)) => header,
                partial => {
                    self.io.stats.dropped_proxy_header.add(1);
                    let reason = partial
                        .err()
                        .map_or(RejectionReason::ProxyHeaderCutShort, RejectionReason::ProxyHeader);
                    let (source, local) = (arrival.source, arrival.destination);
                    return service.rejected(now, &Rejection { source, local, reason });
                }
            };
            if let Some(ends) = header.endpoints {
                arrival.via = Some(arrival.source);
                (arrival.source, arrival.destination) = (ends.source, ends.destination);
            }
            room.payload.start += header.len;
            room.headroom += header.len;
        }
        // SAFETY: as above.
        let first = unsafe { self.region.bytes(room.payload) }.first().copied();
        if treatment.dtls && (!treatment.plain || first.is_some_and(is_secure)) {
            self.secure_datagram(now, &arrival, room, service);
        } else if treatment.plain {
            self.pass_datagram(now, &arrival, room, service);
        } else {
            self.io.stats.dropped_not_served.add(1);
        }
    }

    /// Gives a datagram to the service where it lies.
    pub(super) fn pass_datagram<S: Service>(
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

    /// Takes the socket's errors off its queue. Whether there may be more of them.
    pub(super) fn errors<S: Service>(
        &mut self,
        now: Sample,
        key: SocketKey,
        service: &mut S,
    ) -> bool {
        for number in 0..ERRORS {
            let Some(entry) = self.io.datagrams.get(key) else {
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
                        let (outbox, to) = (self.io.datagrams.outbox_mut(), error.peer.ip());
                        outbox.note_mtu(now.monotonic, to, mtu);
                    }
                    service.icmp(now, key, tag, &error, &mut self.io);
                }
                Ok(None) => {}
                Err(_) => {
                    if number == 0 {
                        take_pending(fd); // woken by a pending error without a queued one
                    }
                    return false;
                }
            }
        }
        true
    }
}
