//! Connections on their way to their first frame: a proxy's header, the first byte, the TLS
//! handshake.
//!
//! While the handshaker computes, the connection stays where it is, with its key and its timers.
//! One request of it is under way at a time, and nothing is read until the reply comes: the
//! kernel's buffer holds the client back.

use std::io;
use std::sync::Arc;

use super::budget::take;
use super::demux::is_secure;
use super::memory::CIPHER;
use super::service::Service;
use super::{EventLoop, Rejection, RejectionReason};
use crate::clock::Sample;
use crate::keys::StreamKey;
use crate::proxy::{self, Header, MAX_HEADER, Parsed};
use crate::region::Span;
use crate::secure::{Failure, TlsOutcome, TlsReply, TlsSession};
use crate::tcp::{Layer, Stage, State, StreamEnd, receive};

/// Maximum number of bytes of a client's handshake in one request.
const MAX_REQUEST: usize = 16 << 10;

impl EventLoop {
    /// Reads from a connection in setup.
    pub(super) fn read_setup<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let Some(stream) = self.io.streams.get_mut(key) else { return };
        let Layer::Setup(setup) = &mut stream.layer else { return };
        match &mut setup.stage {
            Stage::ProxyHeader(_) => self.read_proxy_header(now, key, service),
            Stage::FirstByte => self.read_first(now, key, service),
            Stage::Handshake { .. } => self.read_handshake(now, key, service),
        }
    }

    fn read_proxy_header<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let Some(stream) = self.io.streams.get_mut(key) else { return };
        let fd = stream.raw_fd();
        let Layer::Setup(setup) = &mut stream.layer else { return };
        let Stage::ProxyHeader(begun) = &mut setup.stage else { return };
        let header = match read_header(begun, |buffer| receive(fd, buffer)) {
            HeaderRead::Whole(header) => header,
            HeaderRead::Pending => return,
            HeaderRead::Nothing => return self.io.streams.refuse_proxy(key),
            HeaderRead::Bad(reason) => return self.reject_proxy(now, key, reason, service),
        };
        if let Some(ends) = header.endpoints {
            (stream.peer, stream.local) = (ends.source, ends.destination);
        }
        stream.state = State::Open;
        self.announce(now, key, service);
    }

    /// Reads the first byte, which says whether the client speaks TLS, and what comes with it.
    fn read_first<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let room = self.io.scratch_room();
        let Some(stream) = self.io.streams.get_mut(key) else { return };
        let (fd, listener) = (stream.raw_fd(), stream.listener);
        let plain = listener
            .and_then(|key| self.io.listeners.get(key))
            .is_none_or(|entry| entry.options.plain);
        let region = Arc::clone(&self.region);
        // SAFETY: nothing queued lies in this room of the scratch buffer, and no packet is alive.
        let scratch = unsafe { region.bytes_mut(room) };
        match receive(fd, &mut scratch[..MAX_REQUEST]) {
            Ok(0) => self.end(now, key, StreamEnd::PeerClosed, service),
            Ok(count) if plain && !is_secure(scratch[0]) => {
                if let Some(stream) = self.io.streams.get_mut(key) {
                    stream.layer = Layer::Plain;
                }
                self.io.stats.streams_received_bytes.add(count as u64);
                self.frames(now, key, Span { start: room.start, end: room.start + count }, service);
            }
            Ok(count) => {
                self.reject_header(now, key, &scratch[..count], service);
                let begun = self.io.streams.begin_handshake(key, &scratch[..count], self.io.now);
                if let Err(failure) = begun {
                    self.end_handshake(now, key, failure, service);
                }
            }
            Err(error) => self.read_failed(now, key, &error, service),
        }
    }

    /// Sends the handshaker what the client sent.
    fn read_handshake<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let Some(stream) = self.io.streams.get_mut(key) else { return };
        if !stream.interest.read {
            // Only an error wakes the loop then.
            return self.end(now, key, StreamEnd::Failed(io::ErrorKind::ConnectionReset), service);
        }
        let region = Arc::clone(&self.region);
        // SAFETY: this room is used by one read at a time, and no slice of it outlives the read.
        let buffer = unsafe { region.bytes_mut(CIPHER) };
        match receive(stream.raw_fd(), &mut buffer[..MAX_REQUEST]) {
            Ok(0) => self.end(now, key, StreamEnd::PeerClosed, service),
            Ok(count) => {
                if let Err(failure) = self.io.streams.forward_handshake(key, &buffer[..count]) {
                    self.end_handshake(now, key, failure, service);
                }
            }
            Err(error) => self.read_failed(now, key, &error, service),
        }
    }

    /// Goes on as the handshaker replied.
    pub(super) fn tls_reply<S: Service>(&mut self, now: Sample, reply: TlsReply, service: &mut S) {
        let TlsReply { stream: key, bytes, outcome } = reply;
        let Some((flight, taken)) = self.io.streams.take_reply(key, &bytes) else { return };
        let outcome = match taken {
            Ok(()) => outcome,
            Err(failure) => TlsOutcome::Failed(failure),
        };
        match outcome {
            TlsOutcome::More => self.io.streams.continue_handshake(key, flight),
            TlsOutcome::Done(connection) => {
                let session = TlsSession::new(connection, flight);
                self.io.streams.finish_handshake(key, session);
                if let Some(info) = self.io.streams.info(key) {
                    service.secured(now, &info, &mut self.io);
                }
                // What the client sent with its last flight was decrypted by the handshaker.
                self.decrypted(now, key, &[], service);
            }
            TlsOutcome::Failed(failure) => {
                self.io.streams.fail_handshake(key, failure, flight);
                self.end_handshake(now, key, failure, service);
            }
        }
    }

    fn end_handshake<S: Service>(
        &mut self,
        now: Sample,
        key: StreamKey,
        failure: Failure,
        service: &mut S,
    ) {
        if let Some(reason) = RejectionReason::of(failure) {
            self.reject(now, key, reason, service);
        }
        self.end(now, key, StreamEnd::Handshake, service);
    }

    /// Ends connections whose setup has taken too long.
    pub(super) fn end_late_setups<S: Service>(&mut self, now: Sample, service: &mut S) {
        while self.io.streams.has_late(now.monotonic) {
            if !take(&mut self.budget.endings) {
                return;
            }
            let Some(key) = self.io.streams.next_late() else { continue };
            let state = self.io.streams.get(key).map(|stream| stream.state);
            if state == Some(State::Arriving) {
                self.reject_proxy(now, key, RejectionReason::ProxyHeaderSlow, service);
            } else {
                self.io.streams.cancel_handshake(key, Failure::Slow);
                self.end(now, key, StreamEnd::Handshake, service);
            }
        }
    }

    fn reject_proxy<S: Service>(
        &mut self,
        now: Sample,
        key: StreamKey,
        reason: RejectionReason,
        service: &mut S,
    ) {
        self.reject(now, key, reason, service);
        self.io.streams.refuse_proxy(key);
    }

    /// Tells the service that something of a stream was refused. The caller decides whether the
    /// stream ends.
    fn reject<S: Service>(
        &self,
        now: Sample,
        key: StreamKey,
        reason: RejectionReason,
        service: &mut S,
    ) {
        if let Some(stream) = self.io.streams.get(key) {
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
}

/// How the read of a proxy's header went.
enum HeaderRead {
    Whole(Header),
    /// The rest has not come yet.
    Pending,
    /// The connection ended without a byte: a proxy that checks whether the port is open.
    Nothing,
    Bad(RejectionReason),
}

/// Reads a header of which `begun` has come, and no byte beyond it.
fn read_header(
    begun: &mut Vec<u8>,
    receive: impl Fn(&mut [u8]) -> io::Result<usize>,
) -> HeaderRead {
    loop {
        let wanted = match proxy::parse(begun) {
            Ok(Parsed::Whole(header)) => return HeaderRead::Whole(header),
            Ok(Parsed::Wanted(len)) => len - begun.len(),
            Err(fault) => return HeaderRead::Bad(RejectionReason::ProxyHeader(fault)),
        };
        let mut buffer = [0; MAX_HEADER];
        match receive(&mut buffer[..wanted]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return HeaderRead::Pending,
            Ok(0) | Err(_) if begun.is_empty() => return HeaderRead::Nothing,
            Ok(0) | Err(_) => return HeaderRead::Bad(RejectionReason::ProxyHeaderCutShort),
            Ok(count) => begun.extend_from_slice(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;
    use crate::event_loop::{Admission, Arrival, Io, StreamInfo, StreamListenerOptions};
    use crate::packet::Packet;
    use crate::secure::{HandshakeLimits, Handshaker};
    use crate::tcp::Listener;
    use crate::{Clock, Mailbox};

    /// Takes connections until this many have ended.
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
        let (handshaker, requests) = Handshaker::idle(limits, 3);
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
            "three requests found room, and were not read"
        );
        assert_eq!(
            (handshaker.shared().half_open.taken(), event_loop.io().stats().streams_open.value()),
            (0, 0)
        );
        for mut client in clients {
            assert!(matches!(client.read(&mut [0; 8]), Ok(0) | Err(_)));
        }
        drop(requests);
    }
}
