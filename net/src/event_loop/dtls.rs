//! DTLS datagrams: a ClientHello is answered with a cookie, a handshake's datagrams are sent to the
//! handshaker, an association's are decrypted.

use super::arrival::Arrival;
use super::associations::{Flow, Held, UnderWay};
use super::io::Io;
use super::service::{Admission, Service};
use super::{EventLoop, Rejection, RejectionReason};
use crate::clock::Sample;
use crate::keys::AssociationKey;
use crate::packet::Room;
use crate::region::Span;
use crate::secure::Failure;
use crate::secure::dtls::hello::ClientHello;
use crate::secure::dtls::record::{APPLICATION_DATA, HANDSHAKE, RecordHeader, records_of};
use crate::secure::dtls::{Opened, Outcome, Pipe, Records, Reply};

impl EventLoop {
    /// Takes a datagram that is DTLS.
    pub(super) fn secure_datagram<S: Service>(
        &mut self,
        now: Sample,
        arrival: &Arrival,
        room: Room,
        service: &mut S,
    ) {
        // SAFETY: the room is this datagram's, and no packet of it is alive while this slice is.
        let datagram = unsafe { self.region.bytes(room.payload) };
        let Some(header) = RecordHeader::read(datagram) else {
            self.io.stats.dropped_not_served.add(1);
            return;
        };
        let flow = Flow::of(arrival);
        let held = self.io.associations.held(&flow);
        if header.epoch == 0
            && let Some(hello) = ClientHello::read(datagram)
        {
            if let Err(failure) =
                hello_arrived(&mut self.io, now, arrival, (flow, held), &hello, datagram)
            {
                reject(now, arrival, failure, service);
            }
            return;
        }
        match held.association {
            // While a handshake is under way, handshake messages belong to it. Otherwise they are
            // repeated ones of the association.
            Some(key)
                if held.handshake.is_none()
                    || (header.content_type != HANDSHAKE && header.epoch > 0) =>
            {
                self.decrypt(now, key, arrival, room, service);
            }
            _ if header.content_type == APPLICATION_DATA => {
                self.io.stats.dropped_no_handshake.add(1);
            } // too early, or too late
            _ => self.io.associations.forward(held.handshake, datagram),
        }
    }

    /// Passes each record of an association's datagram to the service, as a datagram of its own.
    fn decrypt<S: Service>(
        &mut self,
        now: Sample,
        key: AssociationKey,
        arrival: &Arrival,
        room: Room,
        service: &mut S,
    ) {
        let payload = self.admitted(room.payload);
        let mut pipe = self.io.associations.take_reader();
        let mut opened = self.open_first(key, &mut pipe, payload);
        if opened == Opened::None && pipe.is_quiet() {
            self.io.stats.dropped_unauthentic.add(1);
        }
        while let Opened::Plaintext(len) = opened {
            let Some(association) = self.io.association(key) else { break };
            let arrival = Arrival { association: Some(key), tag: association.tag, ..*arrival };
            let end = payload.start + len;
            // A record is longer than what is encrypted in it: the rest of the datagram is room
            // behind the plaintext.
            let tailroom = room.payload.end.saturating_sub(end) + room.tailroom;
            let plaintext = Room { payload: Span { start: payload.start, end }, tailroom, ..room };
            self.pass_datagram(now, &arrival, plaintext, service);
            opened = self.open_next(key, &mut pipe, payload);
        }
        self.conclude(now, key, &mut pipe, opened, service);
        self.io.associations.return_reader(pipe);
    }

    /// The part of a datagram that the turn has room for: the first record, and more within the
    /// budget that all datagrams share for records behind their first (H52). The rest is dropped,
    /// as if the datagram had been shorter.
    fn admitted(&mut self, payload: Span) -> Span {
        // SAFETY: as in `secure_datagram`.
        let records = records_of(unsafe { self.region.bytes(payload) }, 1 + self.budget.records);
        self.budget.records = self.budget.records.saturating_sub(records.taken.saturating_sub(1));
        self.io.stats.dropped_too_many_records.add(records.left_out as u64);
        Span { start: payload.start, end: payload.start + records.len }
    }

    /// Decrypts the first record of a datagram to the place that it came from.
    fn open_first(&mut self, key: AssociationKey, pipe: &mut Pipe, payload: Span) -> Opened {
        let Some(association) = self.io.associations.get_mut(key) else {
            return Opened::None;
        };
        // SAFETY: as in `secure_datagram`.
        if !association.records.admit(pipe, unsafe { self.region.bytes(payload) }) {
            return Opened::None;
        }
        // SAFETY: the room is this datagram's, which has been copied to the pipe, and no packet of
        // it is alive.
        association.records.open(pipe, unsafe { self.region.bytes_mut(payload) })
    }

    /// Decrypts the next record, to the place where the first was.
    fn open_next(&mut self, key: AssociationKey, pipe: &mut Pipe, payload: Span) -> Opened {
        let opened = self.io.associations.open_next(key, pipe);
        if let Opened::Plaintext(len) = opened {
            let room = Span { start: payload.start, end: payload.start + len };
            if room.end > payload.end {
                // It was not encrypted to anything in this datagram.
                self.io.stats.dropped_unauthentic.add(1);
                return Opened::None;
            }
            self.io.flush_datagrams(); // what the record before it is to send may lie in the slot
            // SAFETY: as above, and nothing of the slot waits to be sent any more.
            let slot = unsafe { self.region.bytes_mut(room) };
            slot.copy_from_slice(self.io.associations.opened(len));
        }
        opened
    }

    /// Sends what OpenSSL wrote by itself while an association was read, and ends an association
    /// that is over.
    fn conclude<S: Service>(
        &mut self,
        now: Sample,
        key: AssociationKey,
        pipe: &mut Pipe,
        opened: Opened,
        service: &mut S,
    ) {
        if !pipe.is_quiet()
            && let Some(association) = self.io.associations.get(key)
        {
            let route = association.route;
            self.io.send_written(&route, pipe);
        }
        if opened == Opened::Over
            && let Some(mut association) = self.io.associations.forget(key)
        {
            association.records.close(pipe);
            self.io.send_written(&association.route, pipe);
            service.dissociated(now, &association.info, &mut self.io);
        }
    }

    /// Goes on as the handshaker replied.
    pub(super) fn dtls_reply<S: Service>(&mut self, now: Sample, reply: Reply, service: &mut S) {
        let Some(under_way) = self.io.associations.handshake(reply.handshake) else {
            return; // given up
        };
        let route = under_way.arrival.reply();
        self.io.send_written(&route, &reply.datagrams);
        match reply.outcome {
            Outcome::More => {}
            Outcome::Failed(failure) => {
                self.io.associations.count_failed(failure);
                if let Some(under_way) = self.io.associations.forget_handshake(reply.handshake) {
                    reject(now, &under_way.arrival, failure, service);
                }
            }
            Outcome::Done(records) => {
                if let Some(under_way) = self.io.associations.forget_handshake(reply.handshake) {
                    self.establish(now, under_way, records, service);
                }
            }
        }
    }

    fn establish<S: Service>(
        &mut self,
        now: Sample,
        under_way: UnderWay,
        records: Box<Records>,
        service: &mut S,
    ) {
        // "After a correct Finished message is received, the server MUST abandon the previous
        // association" (RFC 6347 §4.2.8)
        if let Some(old) = self.io.associations.held(&under_way.flow).association
            && let Some(old) = self.io.associations.forget(old)
        {
            service.dissociated(now, &old.info, &mut self.io);
        }
        let info = self.io.associations.establish(under_way, records);
        match service.associated(now, &info, &mut self.io) {
            Admission::Accept { tag } => {
                if let Some(association) = self.io.associations.get_mut(info.key) {
                    association.info.tag = tag;
                }
            }
            Admission::Refuse => {
                self.io.stats.associations_refused.add(1);
                self.io.close_association(info.key);
            }
        }
    }
}

/// Tells the service of a handshake that failed, unless the client only went away or was slow.
fn reject<S: Service>(now: Sample, arrival: &Arrival, failure: Failure, service: &mut S) {
    if let Some(reason) = RejectionReason::of(failure) {
        let (source, local) = (arrival.source, arrival.destination);
        service.rejected(now, &Rejection { source, local, reason });
    }
}

/// Answers a ClientHello with a cookie, or begins a handshake.
///
/// # Errors
/// The limits allow no handshake for a client whose cookie was right. That is counted.
fn hello_arrived(
    io: &mut Io,
    now: Sample,
    arrival: &Arrival,
    (flow, held): (Flow, Held),
    hello: &ClientHello<'_>,
    datagram: &[u8],
) -> Result<(), Failure> {
    let associations = &mut io.associations;
    let Some(cookies) = associations.cookies(now.monotonic) else {
        io.stats.dropped_no_handshake.add(1); // this host has no randomness
        return Ok(());
    };
    // "If a server receives a ClientHello with an invalid cookie, it SHOULD treat it the same
    // as a ClientHello with no cookie." (RFC 6347 §4.2.1)
    if !cookies.accepts(now.monotonic, arrival.source, arrival.destination, hello) {
        let cookie = cookies.bake(now.monotonic, arrival.source, arrival.destination, hello);
        let request = hello.verify_request(&cookie);
        io.reply_buffer()[..request.len()].copy_from_slice(&request);
        io.reply(&arrival.reply(), request.len());
        io.stats.cookies_sent.add(1);
        return Ok(());
    }
    if let Some(key) = held.handshake {
        if associations.handshake(key).is_some_and(|one| one.random == hello.random()) {
            associations.forward(Some(key), datagram); // the client did not get the reply
            return Ok(());
        }
        associations.cancel_handshake(key);
    }
    let established = held.association.and_then(|key| associations.get(key));
    if established.is_some_and(|association| association.random == hello.random()) {
        // It was delayed on its way, or another host has sent a copy.
        io.stats.dropped_no_handshake.add(1);
        return Ok(());
    }
    let under_way =
        UnderWay { flow, arrival: *arrival, random: hello.random(), since: now.monotonic };
    associations.begin(under_way, datagram)
}
