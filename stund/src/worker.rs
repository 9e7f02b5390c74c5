//! One worker: Binding requests in, answers out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::Limiter;
use causeway_daemon::log::{self, LimitedAnswers, Refusal, RefusalReason};
use causeway_daemon::service::Connection;
use causeway_daemon::service::listeners::UdpListener;
use causeway_net::{
    Admission, Arrival, AssociationInfo, Io, Malformed, Packet, Rejection, Sample, Service,
    StreamEnd, StreamInfo, proxy,
};
use causeway_wire::binding::{self, Answer, Received};
use causeway_wire::demux::{self, Protocol};
use causeway_wire::{Message, Transport, stream};

use crate::config::Outside;
use crate::connections::Connections;
use crate::counters::{Counters, Discard};
use crate::endpoint::Endpoint;

/// Maximum number of idle connections closed in one turn.
const ENDINGS: usize = 64;

/// A message from the control side to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlMessage {
    /// End after this batch.
    Stop,
}

/// The service behind one worker's sockets. Its only state is its connections and the counts of its
/// limiter.
pub(crate) struct Worker {
    /// The tag of a listener, and of its associations, is the index of its endpoint.
    endpoints: Vec<Endpoint>,
    udp: Vec<UdpListener>,
    /// The addresses that clients are told instead of this host's own.
    outside: Outside,
    connections: Connections,
    limiter: Option<Limiter>,
    limited_answers: LimitedAnswers,
    counters: Arc<Counters>,
}

/// How a message came here.
struct Arrived {
    /// The client's address.
    source: SocketAddr,
    /// The address of this host that the message was sent to.
    local: SocketAddr,
    over: Transport,
    /// The tag of the listener.
    tag: u64,
}

impl Worker {
    /// A worker for `endpoints`, whose UDP listeners are `udp`.
    pub(crate) fn new(
        endpoints: Vec<Endpoint>,
        udp: Vec<UdpListener>,
        outside: Outside,
        connections: Connections,
        limiter: Option<Limiter>,
        counters: Arc<Counters>,
    ) -> Self {
        let limited_answers = LimitedAnswers::default();
        Worker { endpoints, udp, outside, connections, limiter, limited_answers, counters }
    }

    /// Decides on one message, and writes the answer to `out`.
    fn answer(&self, bytes: &[u8], arrived: &Arrived, out: &mut [u8]) -> Option<Answer> {
        let &Arrived { source, local, over, tag } = arrived;
        let endpoint = self.endpoints.get(tag as usize)?;
        let Ok(request) = Message::decode(bytes) else {
            self.counters.discarded(Discard::NotStun);
            if proxy::is_header(bytes) {
                log::refusal(&Refusal::new(source, local, RefusalReason::ProxyUntrusted));
            }
            return None;
        };
        let received = Received { source, local: self.outside.of(local), over };
        match binding::answer(&request, &received, endpoint.usage(), out) {
            Ok(answer) => {
                self.counters.answered(over, request.is_rfc3489(), answer.error);
                Some(answer)
            }
            Err(silence) => {
                self.counters.discarded(silence.into());
                None
            }
        }
    }

    /// Sends the answer in the reply buffer to the source of a datagram, or to another port of the
    /// same host. `asked` is the length of the request.
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
            return self.counters.discarded(Discard::Limited);
        }
        let mut route = arrival.reply();
        if let Some(from) = answer.from {
            // All four endpoints of a pair are bound, or stund does not start.
            let is_from = |listener: &&UdpListener| {
                let endpoint = self.endpoints.get(listener.tag as usize);
                endpoint.is_some_and(|endpoint| endpoint.advertised == from)
            };
            let Some(listener) = self.udp.iter().find(is_from) else { return };
            route.socket = listener.key;
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
    type Message = ControlMessage;

    fn datagram(&mut self, now: Sample, arrival: &Arrival, packet: &mut Packet<'_>, io: &mut Io) {
        let over = if arrival.association.is_some() { Transport::Dtls } else { Transport::Udp };
        let &Arrival { source, destination: local, tag, .. } = arrival;
        let arrived = Arrived { source, local, over, tag };
        let answer = self.answer(packet.payload(), &arrived, io.reply_buffer());
        match (arrival.association, answer) {
            (None, Some(answer)) => self.reply(now, arrival, packet.payload().len(), &answer, io),
            (None, None) => {}
            (Some(key), answer) => {
                self.connections.heard(now.monotonic, Connection::Association(key));
                if let Some(answer) = answer {
                    // The loop counts an answer that it cannot send.
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
            // A server without allocations has no channels.
            Some(first) if demux::protocol(*first) != Protocol::Stun => Err(Malformed),
            _ => stream::frame_len(bytes).map_err(|_| Malformed),
        }
    }

    fn frame(&mut self, now: Sample, stream: &StreamInfo, frame: &mut Packet<'_>, io: &mut Io) {
        self.connections.heard(now.monotonic, Connection::Stream(stream.key));
        let over = if stream.secure { Transport::Tls } else { Transport::Tcp };
        let &StreamInfo { peer: source, local, tag, .. } = stream;
        let arrived = Arrived { source, local, over, tag };
        if let Some(answer) = self.answer(frame.payload(), &arrived, io.reply_buffer()) {
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
            self.counters.discarded(Discard::BadFrame);
        }
        self.connections.forget(Connection::Stream(stream.key));
    }

    fn message(&mut self, _: Sample, message: ControlMessage, io: &mut Io) {
        match message {
            ControlMessage::Stop => io.stop(),
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.connections.next_deadline()
    }

    fn timeout(&mut self, now: Sample, io: &mut Io) {
        // Where more are due, the deadline has passed already, and the next turn comes at once.
        for _ in 0..ENDINGS {
            let Some(idle) = self.connections.take_idle(now.monotonic) else { break };
            self.counters.idle_closed.add(1);
            match idle {
                Connection::Stream(key) => io.close_stream(key),
                Connection::Association(key) => io.close_association(key),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_daemon::service::ConnectionLimits;
    use causeway_net::{Clock, EventLoop, StreamKey};

    use super::*;

    #[test]
    fn h52_connections_that_are_idle_together_are_closed_in_several_turns() {
        const COUNT: u64 = 200;
        let mut event_loop = EventLoop::new(Clock::start()).unwrap();
        let limits = ConnectionLimits {
            tcp_connections: 1_000,
            tcp_connections_per_prefix: 1_000,
            dtls_associations: 1,
            dtls_associations_per_prefix: 1,
            half_open_handshakes: 1,
            half_open_handshakes_per_prefix: 1,
            unauthenticated_per_prefix: None,
        };
        let mut connections = Connections::new(limits.caps(), Duration::from_secs(10));
        for number in 0..COUNT {
            let key = Connection::Stream(StreamKey::from_bits(number));
            assert!(connections.admit(Duration::ZERO, key, "192.0.2.1".parse().unwrap()).is_ok());
        }
        let counters = Arc::new(Counters::default());
        let mut worker = Worker::new(
            Vec::new(),
            Vec::new(),
            Outside::default(),
            connections,
            None,
            Arc::clone(&counters),
        );
        let now = Sample { monotonic: Duration::from_secs(10), unix: Duration::ZERO };
        for turn in 1.. {
            worker.timeout(now, event_loop.io());
            assert_eq!(counters.idle_closed.value(), COUNT.min(turn * ENDINGS as u64));
            if worker.next_deadline().is_none() {
                break;
            }
        }
        assert_eq!(counters.idle_closed.value(), COUNT);
    }
}
