//! Connections on their way to their first frame: a proxy's header, the first byte, the TLS
//! handshake.
//!
//! While the handshaker computes, the connection stays where it is, with its key and its timers.
//! One letter of it is under way at a time, and nothing is read until the answer comes: the
//! kernel's buffer holds the client back.

use std::cmp::Reverse;
use std::io;
use std::time::Duration;

use super::budget::take;
use super::io::{CIPHER, Io};
use super::screen::is_secure;
use super::service::Service;
use super::{EventLoop, Rejection, RejectionReason, StreamKey, StreamListenerOptions};
use crate::clock::Sample;
use crate::proxy::{self, MAX_HEADER, Parsed};
use crate::region::Span;
use crate::secure::{Failure, Letter, TlsAnswer, TlsLetter, TlsOutcome, TlsSession};
use crate::tcp::{Layer, Opening, Outgoing, Stage, State, StreamEnd, receive};

/// How long a trusted proxy may take to say for whom it speaks.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// The most of a client's handshake in one letter.
const LETTER: usize = 16 << 10;

impl Io {
    /// The layer that a connection begins with when the client is to speak.
    fn first_layer(&self, listening: &StreamListenerOptions) -> Layer {
        let Some(post) = self.post.as_ref().filter(|_| listening.tls) else { return Layer::Plain };
        // Where plain frames are taken too, a silent connection is one of those that the service's
        // own patience is for.
        let deadline = (!listening.plain).then(|| self.now + post.shared().limits.time);
        Layer::Opening(Opening::new(Stage::FirstByte, deadline))
    }

    /// Makes a new connection wait for its proxy's header.
    pub(super) fn await_proxy(&mut self, key: StreamKey) {
        let deadline = self.now + HEADER_TIME;
        if let Some(stream) = self.streams.get_mut(key) {
            stream.state = State::Arriving;
            stream.layer =
                Layer::Opening(Opening::new(Stage::ProxyHeader(Vec::new()), Some(deadline)));
            self.opening.push(Reverse((deadline, key.to_bits())));
        }
    }

    /// Makes a connection wait for its first byte, if that is to decide on anything.
    pub(super) fn await_first_byte(&mut self, key: StreamKey, listening: &StreamListenerOptions) {
        let layer = self.first_layer(listening);
        if let Layer::Opening(opening) = &layer
            && let Some(deadline) = opening.deadline
        {
            self.opening.push(Reverse((deadline, key.to_bits())));
        }
        if let Some(stream) = self.streams.get_mut(key) {
            stream.layer = layer;
        }
    }

    /// Sends a connection's handshake to the handshaker.
    ///
    /// # Errors
    /// There is no place for it. That is counted.
    fn begin_handshake(&mut self, key: StreamKey, bytes: &[u8]) -> Result<(), Failure> {
        let (Some(post), Some(stream)) = (&self.post, self.streams.get_mut(key)) else {
            return Err(Failure::Gone);
        };
        let shared = post.shared();
        shared.readings.started();
        let Ok(place) = shared.half_open.take(stream.peer.ip()) else {
            shared.readings.failed(Failure::HalfOpen);
            return Err(Failure::HalfOpen);
        };
        let deadline = self.now + shared.limits.time;
        let stage = Stage::Handshake { _place: place, asked: false };
        stream.layer = Layer::Opening(Opening::new(stage, Some(deadline)));
        self.opening.push(Reverse((deadline, key.to_bits())));
        self.ask(key, bytes)
    }

    /// Sends the handshaker what the client sent.
    ///
    /// # Errors
    /// It has too many letters already. That is counted.
    fn ask(&mut self, key: StreamKey, bytes: &[u8]) -> Result<(), Failure> {
        let (Some(post), Some(stream)) = (&self.post, self.streams.get_mut(key)) else {
            return Err(Failure::Gone);
        };
        if !post.send(Letter::Tls(TlsLetter::Bytes(key, bytes.to_vec()))) {
            self.abandon(key, Failure::Busy);
            return Err(Failure::Busy);
        }
        if let Layer::Opening(opening) = &mut stream.layer
            && let Stage::Handshake { asked, .. } = &mut opening.stage
        {
            *asked = true;
        }
        let wanted = stream.wanted(!stream.interest.write);
        self.watch(key, wanted);
        Ok(())
    }

    /// Tells the handshaker, and the counters, that a handshake under way comes to nothing.
    pub(super) fn abandon(&mut self, key: StreamKey, failure: Failure) {
        let (Some(post), Some(stream)) = (&self.post, self.streams.get_mut(key)) else { return };
        let Layer::Opening(opening) = &stream.layer else { return };
        if matches!(opening.stage, Stage::Handshake { .. }) {
            stream.layer = Layer::Plain;
            post.shared().readings.failed(failure);
            let _ = post.send(Letter::Tls(TlsLetter::Farewell(key))); // else it forgets by its own time limit
        }
    }
}

impl EventLoop {
    /// Reads from a connection that is not open yet.
    pub(super) fn read_opening<S: Service>(
        &mut self,
        now: Sample,
        key: StreamKey,
        service: &mut S,
    ) {
        let Some(stream) = self.io.streams.get_mut(key) else { return };
        let Layer::Opening(opening) = &mut stream.layer else { return };
        match &opening.stage {
            Stage::ProxyHeader(_) => self.read_proxy_header(now, key, service),
            Stage::FirstByte => self.read_first(now, key, service),
            Stage::Handshake { .. } => self.read_handshake(now, key, service),
        }
    }

    /// Reads no byte beyond the header.
    fn read_proxy_header<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let Some(stream) = self.io.streams.get_mut(key) else { return };
        let fd = stream.raw_fd();
        let Layer::Opening(opening) = &mut stream.layer else { return };
        let Stage::ProxyHeader(header) = &mut opening.stage else { return };
        let header = loop {
            match proxy::parse(header) {
                Ok(Parsed::Whole(header)) => break header,
                Ok(Parsed::Wanted(len)) => {
                    let mut buffer = [0; MAX_HEADER];
                    match receive(fd, &mut buffer[..len - header.len()]) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                        // A connection without a byte is a proxy's look at whether the port is
                        // open.
                        Ok(0) | Err(_) if header.is_empty() => return self.io.refuse_proxy(key),
                        Ok(0) | Err(_) => {
                            return self.reject_proxy(
                                now,
                                key,
                                RejectionReason::ProxyHeaderCutShort,
                                service,
                            );
                        }
                        Ok(count) => header.extend_from_slice(&buffer[..count]),
                    }
                }
                Err(fault) => {
                    return self.reject_proxy(
                        now,
                        key,
                        RejectionReason::ProxyHeader(fault),
                        service,
                    );
                }
            }
        };
        if let Some(ends) = header.endpoints {
            (stream.peer, stream.local) = (ends.source, ends.destination);
        }
        stream.state = State::Open;
        self.announce(now, key, service);
    }

    /// The first byte says whether it is TLS.
    fn read_first<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let room = self.io.scratch_room();
        let Some(stream) = self.io.streams.get_mut(key) else { return };
        let (fd, listener) = (stream.raw_fd(), stream.listener);
        let plain = listener
            .and_then(|key| self.io.listeners.get(key))
            .is_none_or(|entry| entry.listening.plain);
        let region = std::sync::Arc::clone(&self.region);
        // SAFETY: nothing queued lies in this room of the scratch buffer, and no packet is alive.
        let scratch = unsafe { region.bytes_mut(room) };
        match receive(fd, &mut scratch[..LETTER]) {
            Ok(0) => self.end(now, key, StreamEnd::PeerClosed, service),
            Ok(count) if plain && !is_secure(scratch[0]) => {
                if let Some(stream) = self.io.streams.get_mut(key) {
                    stream.layer = Layer::Plain;
                }
                self.io.stats.streams_received_bytes.add(count as u64);
                self.frames(now, key, Span { start: room.start, end: room.start + count }, service);
            }
            Ok(count) => {
                self.io.reject_header(now, key, &scratch[..count], service);
                if let Err(failure) = self.io.begin_handshake(key, &scratch[..count]) {
                    self.end_handshake(now, key, failure, service);
                }
            }
            Err(error) => self.read_failed(now, key, &error, service),
        }
    }

    /// Ferries what the client sent to the handshaker.
    fn read_handshake<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let Some(stream) = self.io.streams.get_mut(key) else { return };
        if !stream.interest.read {
            // Only an error wakes us then.
            return self.end(now, key, StreamEnd::Failed(io::ErrorKind::ConnectionReset), service);
        }
        let region = std::sync::Arc::clone(&self.region);
        // SAFETY: this room is used by one read at a time, and no slice of it outlives the read.
        let buffer = unsafe { region.bytes_mut(CIPHER) };
        match receive(stream.raw_fd(), &mut buffer[..LETTER]) {
            Ok(0) => self.end(now, key, StreamEnd::PeerClosed, service),
            Ok(count) => {
                if let Err(failure) = self.io.ask(key, &buffer[..count]) {
                    self.end_handshake(now, key, failure, service);
                }
            }
            Err(error) => self.read_failed(now, key, &error, service),
        }
    }

    /// The handshaker answered.
    pub(super) fn tls_answer<S: Service>(
        &mut self,
        now: Sample,
        answer: TlsAnswer,
        service: &mut S,
    ) {
        let TlsAnswer { stream: key, bytes, outcome } = answer;
        let Some(stream) = self.io.streams.get_mut(key) else { return };
        let Layer::Opening(opening) = &mut stream.layer else { return };
        let Stage::Handshake { asked, .. } = &mut opening.stage else { return };
        *asked = false;
        let mut outcome = outcome;
        if !opening.flight.push(&[&bytes], &mut self.io.spare) {
            outcome = TlsOutcome::Failed(Failure::Refused("the client does not read")); // it does not read what it is told
        }
        let flight = std::mem::take(&mut opening.flight);
        match outcome {
            TlsOutcome::More => {
                opening.flight = flight;
                self.io.write_stream(key);
            }
            TlsOutcome::Done(connection) => {
                stream.layer = Layer::Secure(Box::new(TlsSession::new(connection, flight)));
                self.io.write_stream(key);
                if let Some(info) = self.io.info(key) {
                    service.secured(now, &info, &mut self.io);
                }
                // What the client sent with its last flight was decrypted by the handshaker.
                self.decrypted(now, key, &[], service);
            }
            TlsOutcome::Failed(failure) => {
                self.handshake_failed(now, key, failure, flight, service);
            }
        }
    }

    fn handshake_failed<S: Service>(
        &mut self,
        now: Sample,
        key: StreamKey,
        failure: Failure,
        alert: Outgoing,
        service: &mut S,
    ) {
        if let (Some(post), Some(stream)) = (&self.io.post, self.io.streams.get_mut(key)) {
            post.shared().readings.failed(failure);
            stream.layer = Layer::Plain;
            stream.outgoing = alert;
            stream.discard_received();
            self.io.dirty.push(key);
        }
        self.end_handshake(now, key, failure, service);
    }

    fn end_handshake<S: Service>(
        &mut self,
        now: Sample,
        key: StreamKey,
        failure: Failure,
        service: &mut S,
    ) {
        if let Some(reason) = RejectionReason::of(failure) {
            self.io.reject(now, key, reason, service);
        }
        self.end(now, key, StreamEnd::Handshake, service);
    }

    fn reject_proxy<S: Service>(
        &mut self,
        now: Sample,
        key: StreamKey,
        reason: RejectionReason,
        service: &mut S,
    ) {
        self.io.reject(now, key, reason, service);
        self.io.refuse_proxy(key);
    }

    /// Ends what has taken too long.
    pub(super) fn tend_openings<S: Service>(&mut self, now: Sample, service: &mut S) {
        while let Some(Reverse((at, bits))) =
            self.io.opening.peek().copied().filter(|Reverse((at, _))| *at <= now.monotonic)
        {
            if !take(&mut self.budget.endings) {
                return;
            }
            self.io.opening.pop();
            let key = StreamKey::from_bits(bits);
            let Some(stream) = self.io.streams.get(key) else { continue };
            let Layer::Opening(opening) = &stream.layer else { continue };
            if opening.deadline != Some(at) {
                continue;
            }
            if stream.state == State::Arriving {
                self.reject_proxy(now, key, RejectionReason::ProxyHeaderSlow, service);
            } else {
                self.io.abandon(key, Failure::Slow);
                self.end(now, key, StreamEnd::Handshake, service);
            }
        }
    }
}

impl Io {
    /// Tells the service that something of a stream was refused. What becomes of the stream is
    /// decided elsewhere.
    fn reject<S: Service>(
        &self,
        now: Sample,
        key: StreamKey,
        reason: RejectionReason,
        service: &mut S,
    ) {
        if let Some(stream) = self.streams.get(key) {
            service.rejected(now, &Rejection { source: stream.peer, local: stream.local, reason });
        }
    }

    /// Tells the service of `bytes` that begin a PROXY header: it came from an address that is not
    /// trusted.
    pub(super) fn reject_header<S: Service>(
        &self,
        now: Sample,
        key: StreamKey,
        bytes: &[u8],
        service: &mut S,
    ) {
        if proxy::is_header(bytes) {
            self.reject(now, key, RejectionReason::ProxyUntrusted, service);
        }
    }

    fn refuse_proxy(&mut self, key: StreamKey) {
        self.stats.streams_without_proxy_header.add(1);
        if let Some(stream) = self.streams.get(key) {
            stream.close_by_reset();
        }
        self.drop_stream(key);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::event_loop::{Admission, Arrival, StreamInfo};
    use crate::packet::Packet;
    use crate::secure::{HandshakeLimits, Handshaker};
    use crate::tcp::Listener;
    use crate::{Clock, Mailbox};

    /// Takes connections until so many have ended.
    struct Takes(usize);

    impl Service for Takes {
        type Message = ();

        fn datagram(&mut self, _: Sample, _: &Arrival, _: &mut Packet<'_>, _: &mut Io) {}

        fn accepted(&mut self, _: Sample, _: &StreamInfo, _: &mut Io) -> Admission {
            Admission::Accept { tag: 0 }
        }

        fn closed(&mut self, _: Sample, _: &StreamInfo, end: StreamEnd, io: &mut Io) {
            assert_eq!(end, StreamEnd::Handshake);
            self.0 -= 1;
            if self.0 == 0 {
                io.stop();
            }
        }

        fn message(&mut self, _: Sample, (): (), _: &mut Io) {}
    }

    #[test]
    fn h14_a_full_mailbox_drops_the_connection_and_time_the_others() {
        let limits =
            HandshakeLimits { time: Duration::from_millis(300), ..HandshakeLimits::default() };
        let (handshaker, letters) = Handshaker::idle(limits, 3);
        let mut event_loop = EventLoop::with_handshaker(Clock::start(), Some(&handshaker)).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr();
        event_loop
            .io()
            .listen_tcp(
                listener,
                StreamListenerOptions { tls: true, ..StreamListenerOptions::plain(0) },
            )
            .unwrap();
        let clients: Vec<_> = (0..10)
            .map(|_| {
                let mut client = TcpStream::connect(address).unwrap();
                client.write_all(&[0x16, 3, 1]).unwrap();
                client
            })
            .collect();
        event_loop.run(&mut Takes(10), &Mailbox::new(1).unwrap().receiver).unwrap();
        let failed =
            |cause| handshaker.readings().find(|one| one.cause == Some(cause)).unwrap().value;
        assert_eq!(
            (failed("busy"), failed("slow")),
            (7, 3),
            "three letters found room, and were not read"
        );
        assert_eq!(
            (handshaker.shared().half_open.taken(), event_loop.io().stats().streams_open.value()),
            (0, 0)
        );
        for mut client in clients {
            assert!(matches!(client.read(&mut [0; 8]), Ok(0) | Err(_)));
        }
        drop(letters);
    }
}
