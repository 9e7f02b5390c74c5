//! One worker: Binding requests in, answers out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::Limiter;
use causeway_daemon::log::{self, LimitedAnswers, Refusal, RefusalReason};
use causeway_net::{
    Admission, Arrival, AssociationInfo, DatagramListenerOptions, EventLoop, Io, Malformed, Packet,
    Rejection, Sample, Service, SocketKey, StreamEnd, StreamInfo, StreamListenerOptions, proxy,
};
use causeway_wire::binding::{self, Answer, Received};
use causeway_wire::demux::{self, Protocol};
use causeway_wire::{Message, Transport, stream};

use crate::config::Outside;
use crate::connections::{Connection, Connections};
use crate::counts::{Counts, Silent};
use crate::endpoint::{Endpoint, Sockets};

/// Maximum number of idle connections closed in one turn.
const ENDINGS: usize = 64;

/// What the control side tells a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    /// End after this batch.
    Stop,
}

/// The service behind one worker's sockets. It keeps no state but its connections and what the
/// limiter has counted.
pub(crate) struct Worker {
    /// Socket `i` was registered with the tag `i`, which its associations have too.
    udp: Vec<(Endpoint, SocketKey)>,
    tcp: Vec<Endpoint>,
    /// What clients are told instead of this host's own addresses.
    outside: Outside,
    connections: Connections,
    limiter: Option<Limiter>,
    limited_answers: LimitedAnswers,
    counts: Arc<Counts>,
}

impl Worker {
    /// Hands the sockets to the loop.
    ///
    /// # Errors
    /// When the kernel has no memory to watch them.
    pub(crate) fn new(
        sockets: Sockets,
        event_loop: &mut EventLoop,
        outside: Outside,
        connections: Connections,
        limiter: Option<Limiter>,
        counts: Arc<Counts>,
    ) -> io::Result<Self> {
        let io = event_loop.io();
        let mut udp = Vec::new();
        for (tag, bound) in (0..).zip(sockets.udp) {
            let listening = DatagramListenerOptions {
                tag,
                plain: bound.plain,
                dtls: bound.secure,
                proxies: bound.proxies,
            };
            udp.push((bound.endpoint, io.listen_udp(bound.socket, listening)?));
        }
        let mut tcp = Vec::new();
        for (tag, bound) in (0..).zip(sockets.tcp) {
            let listening = StreamListenerOptions {
                tag,
                plain: bound.plain,
                tls: bound.secure,
                proxies: bound.proxies,
            };
            io.listen_tcp(bound.socket, listening)?;
            tcp.push(bound.endpoint);
        }
        Ok(Worker {
            udp,
            tcp,
            outside,
            connections,
            limiter,
            limited_answers: LimitedAnswers::default(),
            counts,
        })
    }

    /// Decides on one message; the answer stands in `out`.
    fn answer(
        &self,
        bytes: &[u8],
        received: &Received,
        endpoint: &Endpoint,
        out: &mut [u8],
    ) -> Option<Answer> {
        let Ok(request) = Message::decode(bytes) else {
            self.counts.silent(Silent::NotStun);
            if proxy::is_header(bytes) {
                log::refusal(&Refusal::new(
                    received.source,
                    received.local,
                    RefusalReason::ProxyUntrusted,
                ));
            }
            return None;
        };
        match binding::answer(&request, received, endpoint.usage(), out) {
            Ok(answer) => {
                self.counts.answered(received.over, request.is_rfc3489(), answer.error);
                Some(answer)
            }
            Err(silence) => {
                self.counts.silent(silence.into());
                None
            }
        }
    }

    /// Sends the answer that stands in the reply buffer to who sent a datagram, or to another port
    /// of the same host.
    fn reply(
        &mut self,
        now: Sample,
        arrival: &Arrival,
        asked: usize,
        answer: &Answer,
        io: &mut Io,
    ) {
        if self.limiter.as_mut().is_some_and(|limiter| {
            !limiter.admits(now.monotonic, arrival.source.ip(), asked, answer.len)
        }) {
            self.limited_answers.tell(now.monotonic, arrival.source, arrival.destination);
            return self.counts.silent(Silent::Limited);
        }
        let mut route = arrival.reply();
        if let Some(from) = answer.from {
            // All four endpoints of a pair are bound, or stund does not start.
            let Some((_, socket)) =
                self.udp.iter().find(|(endpoint, _)| endpoint.advertised == from)
            else {
                return;
            };
            route.socket = *socket;
        }
        if let Some(port) = answer.to_port {
            route.to.set_port(port);
        }
        if answer.padded {
            io.reply_in_fragments(&route, answer.len);
        } else {
            io.reply(&route, answer.len);
        }
    }

    fn admit(
        &mut self,
        now: Sample,
        connection: Connection,
        (peer, local): (SocketAddr, SocketAddr),
        tag: u64,
    ) -> Admission {
        let Err(full) = self.connections.admit(now.monotonic, connection, peer.ip()) else {
            return Admission::Accept { tag };
        };
        let reason = match connection {
            Connection::Stream(_) => RefusalReason::of_stream(full),
            Connection::Association(_) => RefusalReason::of_association(full),
        };
        log::refusal(&Refusal::new(peer, local, reason));
        Admission::Refuse
    }
}

impl Service for Worker {
    type Message = Letter;

    fn datagram(&mut self, now: Sample, arrival: &Arrival, packet: &mut Packet<'_>, io: &mut Io) {
        let Some((endpoint, _)) = self.udp.get(arrival.tag as usize) else { return };
        let over = if arrival.association.is_some() { Transport::Dtls } else { Transport::Udp };
        let received =
            Received { source: arrival.source, local: self.outside.of(arrival.destination), over };
        let answer = self.answer(packet.payload(), &received, endpoint, io.reply_buffer());
        match (arrival.association, answer) {
            (None, Some(answer)) => self.reply(now, arrival, packet.payload().len(), &answer, io),
            (None, None) => {}
            (Some(key), answer) => {
                self.connections.heard(now.monotonic, Connection::Association(key));
                if let Some(answer) = answer {
                    // What cannot be sent is counted by the loop.
                    let _ = io.reply_secure(key, answer.len);
                }
            }
        }
    }

    fn associated(&mut self, now: Sample, association: &AssociationInfo, _: &mut Io) -> Admission {
        self.admit(
            now,
            Connection::Association(association.key),
            (association.peer, association.local),
            association.tag,
        )
    }

    fn dissociated(&mut self, _: Sample, association: &AssociationInfo, _: &mut Io) {
        self.connections.forget(Connection::Association(association.key));
    }

    fn accepted(&mut self, now: Sample, stream: &StreamInfo, _: &mut Io) -> Admission {
        self.admit(now, Connection::Stream(stream.key), (stream.peer, stream.local), stream.tag)
    }

    fn frame_len(&mut self, _: &StreamInfo, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        match bytes.first() {
            Some(first) if demux::protocol(*first) != Protocol::Stun => Err(Malformed), /* no channels here */
            _ => stream::frame_len(bytes).map_err(|_| Malformed),
        }
    }

    fn frame(&mut self, now: Sample, stream: &StreamInfo, frame: &mut Packet<'_>, io: &mut Io) {
        let Some(endpoint) = self.tcp.get(stream.tag as usize) else { return };
        self.connections.heard(now.monotonic, Connection::Stream(stream.key));
        let over = if stream.secure { Transport::Tls } else { Transport::Tcp };
        let received = Received { source: stream.peer, local: self.outside.of(stream.local), over };
        if let Some(answer) = self.answer(frame.payload(), &received, endpoint, io.reply_buffer()) {
            // A client that asks and does not read loses answers, which the loop counts.
            let _ = io.reply_frame(stream.key, answer.len);
        }
    }

    fn half_frame(&mut self, now: Sample, stream: &StreamInfo, _: &mut Io) {
        self.connections.half(now.monotonic, Connection::Stream(stream.key));
    }

    fn rejected(&mut self, _: Sample, rejection: &Rejection) {
        log::refusal(&rejection.into());
    }

    fn closed(&mut self, _: Sample, stream: &StreamInfo, end: StreamEnd, _: &mut Io) {
        if end == StreamEnd::Malformed {
            self.counts.silent(Silent::BadFrame);
        }
        self.connections.forget(Connection::Stream(stream.key));
    }

    fn message(&mut self, _: Sample, letter: Letter, io: &mut Io) {
        match letter {
            Letter::Stop => io.stop(),
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.connections.next_look()
    }

    fn timeout(&mut self, now: Sample, io: &mut Io) {
        // Where more are due, the deadline has passed already, and the next turn comes at once.
        for _ in 0..ENDINGS {
            let Some(idle) = self.connections.take_idle(now.monotonic) else { break };
            self.counts.idle_closed.add(1);
            match idle {
                Connection::Stream(key) => io.close_stream(key),
                Connection::Association(key) => io.close_association(key),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_net::{ClientLimit, Clock, StreamKey};

    use super::*;

    #[test]
    fn h52_connections_that_are_idle_together_are_closed_in_several_turns() {
        const COUNT: u64 = 200;
        let mut event_loop = EventLoop::new(Clock::start()).unwrap();
        let mut connections = Connections::new(
            ClientLimit::new(1_000, 1_000),
            ClientLimit::new(1, 1),
            Duration::from_secs(10),
        );
        for number in 0..COUNT {
            let key = Connection::Stream(StreamKey::from_bits(number));
            assert!(connections.admit(Duration::ZERO, key, "192.0.2.1".parse().unwrap()).is_ok());
        }
        let counts = Arc::new(Counts::default());
        let mut worker = Worker::new(
            Sockets::default(),
            &mut event_loop,
            Outside::default(),
            connections,
            None,
            Arc::clone(&counts),
        )
        .unwrap();
        let now = Sample { monotonic: Duration::from_secs(10), unix: Duration::ZERO };
        for turn in 1.. {
            worker.timeout(now, event_loop.io());
            assert_eq!(counts.idle_closed.value(), COUNT.min(turn * ENDINGS as u64));
            if worker.next_deadline().is_none() {
                break;
            }
        }
        assert_eq!(counts.idle_closed.value(), COUNT);
    }
}
