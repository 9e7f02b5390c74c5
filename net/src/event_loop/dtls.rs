//! DTLS in the loop: what comes in is answered with a cookie, ferried to the handshaker, or
//! decrypted.

use std::time::Duration;

use super::associations::{
    Association, AssociationInfo, AssociationKey, Associations, Flow, Held, UnderWay,
};
use super::io::Io;
use super::service::{Admission, Arrival, Service};
use super::{EventLoop, Rejection, RejectionReason};
use crate::clock::Sample;
use crate::packet::Room;
use crate::region::Span;
use crate::secure::dtls::hello::ClientHello;
use crate::secure::dtls::record::{APPLICATION_DATA, HANDSHAKE, RecordHeader, records_of};
use crate::secure::dtls::{
    Answer, Cookies, HandshakeKey, Letter, MAX_PLAINTEXT, Opened, Outcome, Pipe, Records,
};
use crate::secure::{Failure, Letter as AnyLetter};

/// How much longer than the handshaker a worker waits for the outcome: it comes by a mailbox that
/// may have been full.
const SLACK: Duration = Duration::from_secs(2);

impl EventLoop {
    /// A datagram came that DTLS is to take.
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
            if let Err(failure) = self.io.hello(now, arrival, flow, held, &hello, datagram) {
                reject(now, arrival, failure, service);
            }
            return;
        }
        match held.association {
            // While there is a handshake, handshake messages are its own. Else they are the
            // association's, repeated.
            Some(key)
                if held.handshake.is_none()
                    || (header.content_type != HANDSHAKE && header.epoch > 0) =>
            {
                self.decrypt(now, key, arrival, room, service);
            }
            _ if header.content_type == APPLICATION_DATA => {
                self.io.stats.dropped_no_handshake.add(1);
            } // too early, or too late
            _ => self.io.ferry(held.handshake, datagram),
        }
    }

    /// Hands over what an association's datagram holds, each record as a datagram of its own.
    fn decrypt<S: Service>(
        &mut self,
        now: Sample,
        key: AssociationKey,
        arrival: &Arrival,
        room: Room,
        service: &mut S,
    ) {
        let payload = self.admitted(room.payload);
        let mut pipe = std::mem::take(&mut self.io.associations.reading);
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
            self.hand_over(now, &arrival, plaintext, service);
            opened = self.open_next(key, &mut pipe, payload);
        }
        self.conclude(now, key, &mut pipe, opened, service);
        self.io.associations.reading = pipe;
    }

    /// As many records of a datagram as there is room for in the turn: the first, and what all
    /// datagrams may have behind their first (H52). The rest is dropped, as if the datagram had
    /// been shorter.
    fn admitted(&mut self, payload: Span) -> Span {
        // SAFETY: as in `secure_datagram`.
        let records = records_of(unsafe { self.region.bytes(payload) }, 1 + self.budget.records);
        self.budget.records = self.budget.records.saturating_sub(records.taken.saturating_sub(1));
        self.io.stats.dropped_too_many_records.add(records.left_out as u64);
        Span { start: payload.start, end: payload.start + records.len }
    }

    /// Decrypts the first record of a datagram to the place that it came from.
    fn open_first(&mut self, key: AssociationKey, pipe: &mut Pipe, payload: Span) -> Opened {
        let Some(association) = self.io.associations.established.get_mut(key) else {
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
        let Associations { established, spare, .. } = &mut self.io.associations;
        let Some(association) =
            established.get_mut(key).filter(|association| association.records.has_more())
        else {
            return Opened::None; // that was all; or the service closed it
        };
        spare.resize(MAX_PLAINTEXT, 0);
        let opened = association.records.open(pipe, spare);
        if let Opened::Plaintext(len) = opened {
            let room = Span { start: payload.start, end: payload.start + len };
            if room.end > payload.end {
                self.io.stats.dropped_unauthentic.add(1); // it was not encrypted to anything in this datagram
                return Opened::None;
            }
            self.io.flush_datagrams(); // what the record before it is to send may lie in the slot
            // SAFETY: as above, and nothing of the slot waits to be sent any more.
            unsafe { self.region.bytes_mut(room) }
                .copy_from_slice(&self.io.associations.spare[..len]);
        }
        opened
    }

    /// Sends what an association wrote of itself while it was read, and ends it if it is over.
    fn conclude<S: Service>(
        &mut self,
        now: Sample,
        key: AssociationKey,
        pipe: &mut Pipe,
        opened: Opened,
        service: &mut S,
    ) {
        if !pipe.is_quiet()
            && let Some(association) = self.io.associations.established.get(key)
        {
            let route = association.route;
            self.io.send_written(&route, pipe);
        }
        if opened == Opened::Over
            && let Some(mut association) = self.io.forget_association(key)
        {
            association.records.close(pipe);
            self.io.send_written(&association.route, pipe);
            service.dissociated(now, &association.info, &mut self.io);
        }
    }

    /// The handshaker answered.
    pub(super) fn dtls_answer<S: Service>(&mut self, now: Sample, answer: Answer, service: &mut S) {
        let Some(under_way) = self.io.associations.under_way.get(answer.handshake) else {
            return; // given up
        };
        let route = under_way.arrival.reply();
        self.io.send_written(&route, &answer.datagrams);
        match answer.outcome {
            Outcome::More => {}
            Outcome::Failed(failure) => {
                self.io.count_failed(failure);
                if let Some(under_way) = self.io.forget_handshake(answer.handshake) {
                    reject(now, &under_way.arrival, failure, service);
                }
            }
            Outcome::Done(records) => {
                if let Some(under_way) = self.io.forget_handshake(answer.handshake) {
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
            && let Some(old) = self.io.forget_association(old)
        {
            service.dissociated(now, &old.info, &mut self.io);
        }
        let UnderWay { flow, arrival, random, .. } = under_way;
        let key = self.io.associations.established.insert_with(|key| Association {
            info: AssociationInfo {
                key,
                tag: arrival.tag,
                socket: arrival.socket,
                peer: arrival.source,
                local: arrival.destination,
            },
            flow,
            route: arrival.reply(),
            records,
            random,
        });
        self.io.associations.hold(flow, |held| held.association = Some(key));
        self.io.stats.associations_established.add(1);
        self.io.stats.associations_open.set(self.io.associations.established.len() as u64);
        let Some(info) = self.io.association(key) else { return };
        match service.associated(now, &info, &mut self.io) {
            Admission::Accept { tag } => {
                if let Some(association) = self.io.associations.established.get_mut(key) {
                    association.info.tag = tag;
                }
            }
            Admission::Refuse => {
                self.io.stats.associations_refused.add(1);
                self.io.close_association(key);
            }
        }
    }

    /// Gives up handshakes that the handshaker has told nothing of for too long.
    pub(super) fn tend_associations<S: Service>(&mut self, now: Sample, _: &mut S) {
        let Some(post) = &self.io.post else { return };
        let patience = post.shared().limits.time + SLACK;
        let under_way = &self.io.associations.under_way;
        let all = (0..under_way.places()).filter_map(|index| under_way.at(index));
        let lost = all.filter(|(_, one)| now.monotonic.saturating_sub(one.since) > patience);
        for key in lost.map(|(key, _)| key).collect::<Vec<_>>() {
            self.io.count_failed(Failure::Slow);
            self.io.forget_handshake(key);
        }
    }
}

/// Tells the service of a handshake that failed, if that is worth telling.
fn reject<S: Service>(now: Sample, arrival: &Arrival, failure: Failure, service: &mut S) {
    if let Some(reason) = RejectionReason::of(failure) {
        service.rejected(
            now,
            &Rejection { source: arrival.source, local: arrival.destination, reason },
        );
    }
}

impl Io {
    /// A hello came: it is answered with a cookie, or begins a handshake.
    ///
    /// # Errors
    /// There is no place for the handshake of a client whose cookie was right. That is counted.
    fn hello(
        &mut self,
        now: Sample,
        arrival: &Arrival,
        flow: Flow,
        held: Held,
        hello: &ClientHello<'_>,
        datagram: &[u8],
    ) -> Result<(), Failure> {
        let cookies = match &mut self.associations.cookies {
            Some(cookies) => cookies,
            vacant => match Cookies::new(now.monotonic) {
                Ok(cookies) => vacant.insert(cookies),
                Err(_) => {
                    self.stats.dropped_no_handshake.add(1); // a host without randomness serves nobody
                    return Ok(());
                }
            },
        };
        // "If a server receives a ClientHello with an invalid cookie, it SHOULD treat it the same
        // as a ClientHello with no cookie." (RFC 6347 §4.2.1)
        if !cookies.accepts(now.monotonic, arrival.source, arrival.destination, hello) {
            let cookie = cookies.bake(now.monotonic, arrival.source, arrival.destination, hello);
            let request = hello.verify_request(&cookie);
            self.reply_buffer()[..request.len()].copy_from_slice(&request);
            self.reply(&arrival.reply(), request.len());
            self.stats.cookies_sent.add(1);
            return Ok(());
        }
        if let Some(key) = held.handshake {
            if self.associations.under_way.get(key).is_some_and(|one| one.random == hello.random())
            {
                self.ferry(Some(key), datagram); // the client did not get the answer
                return Ok(());
            }
            self.farewell(key);
        }
        let established = held.association.and_then(|key| self.associations.established.get(key));
        if established.is_some_and(|association| association.random == hello.random()) {
            self.stats.dropped_no_handshake.add(1); // it was on its way for long, or is sent again by somebody else
            return Ok(());
        }
        let under_way =
            UnderWay { flow, arrival: *arrival, random: hello.random(), since: now.monotonic };
        self.begin(under_way, datagram).inspect_err(|failure| self.count_failed(*failure))
    }

    /// Begins a handshake with a client whose cookie was right.
    fn begin(&mut self, under_way: UnderWay, datagram: &[u8]) -> Result<(), Failure> {
        let post = self.post.as_ref().ok_or(Failure::Busy)?;
        let shared = post.shared();
        if self.associations.under_way.len() >= shared.limits.half_open {
            return Err(Failure::HalfOpen);
        }
        let place =
            shared.half_open.take(under_way.flow.client()).map_err(|_| Failure::HalfOpen)?;
        shared.readings.started();
        let flow = under_way.flow;
        let key = self.associations.under_way.insert(under_way);
        if !post.send(AnyLetter::Dtls(Letter::Begin(key, place, datagram.to_vec()))) {
            self.associations.under_way.remove(key);
            return Err(Failure::Busy);
        }
        self.associations.hold(flow, |held| held.handshake = Some(key));
        Ok(())
    }

    /// Sends a datagram of a handshake to the handshaker.
    fn ferry(&mut self, handshake: Option<HandshakeKey>, datagram: &[u8]) {
        let sent = match (handshake, &self.post) {
            (Some(key), Some(post)) => {
                post.send(AnyLetter::Dtls(Letter::Datagram(key, datagram.to_vec())))
            }
            _ => false,
        };
        if !sent {
            self.stats.dropped_no_handshake.add(1);
        }
    }

    /// Gives up a handshake whose client has begun another.
    fn farewell(&mut self, key: HandshakeKey) {
        self.count_failed(Failure::Gone);
        self.forget_handshake(key);
        // Where there is no room for a letter, the handshake ends by its time limit.
        let _ = self.post.as_ref().map(|post| post.send(AnyLetter::Dtls(Letter::Farewell(key))));
    }

    fn forget_handshake(&mut self, key: HandshakeKey) -> Option<UnderWay> {
        let under_way = self.associations.under_way.remove(key)?;
        self.associations.hold(under_way.flow, |held| {
            if held.handshake == Some(key) {
                held.handshake = None;
            }
        });
        Some(under_way)
    }

    fn count_failed(&self, failure: Failure) {
        if let Some(post) = &self.post {
            post.shared().readings.failed(failure);
        }
    }
}
