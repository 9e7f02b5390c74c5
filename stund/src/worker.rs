//! One worker: Binding requests in, answers out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_net::{
    Admission, Arrival, DatagramListening, EventLoop, Io, Malformed, Packet, Sample, Service, SocketKey, StreamEnd, StreamInfo,
    StreamListening,
};
use causeway_wire::binding::{self, Answer, Received, Transport};
use causeway_wire::demux::{self, Protocol};
use causeway_wire::{Message, stream};

use crate::connections::Connections;
use crate::counts::{Counts, Silent};
use crate::endpoint::{Endpoint, Sockets};

/// What the control side tells a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    /// End after this batch.
    Stop,
}

/// The service behind one worker's sockets. It keeps no state but its TCP connections.
pub(crate) struct Worker {
    /// Socket `i` was registered with the tag `i`.
    udp: Vec<(Endpoint, SocketKey)>,
    tcp: Vec<Endpoint>,
    connections: Connections,
    counts: Arc<Counts>,
}

impl Worker {
    /// Hands the sockets to the loop.
    ///
    /// # Errors
    /// When the kernel has no memory to watch them.
    pub(crate) fn new(sockets: Sockets, event_loop: &mut EventLoop, connections: Connections, counts: Arc<Counts>) -> io::Result<Self> {
        let io = event_loop.io();
        let mut udp = Vec::new();
        for (tag, (endpoint, socket)) in sockets.udp.into_iter().enumerate() {
            udp.push((endpoint, io.listen_udp(socket, DatagramListening::plain(tag as u64))?));
        }
        let mut tcp = Vec::new();
        for (tag, (endpoint, listener)) in sockets.tcp.into_iter().enumerate() {
            io.listen_tcp(listener, StreamListening::plain(tag as u64))?;
            tcp.push(endpoint);
        }
        Ok(Worker { udp, tcp, connections, counts })
    }

    /// Decides on one message; the answer stands in `out`.
    fn answer(&self, bytes: &[u8], received: &Received, endpoint: &Endpoint, out: &mut [u8]) -> Option<Answer> {
        let Ok(request) = Message::decode(bytes) else {
            self.counts.silent(Silent::NotStun);
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

    /// The socket that `from` is bound to.
    fn socket_at(&self, from: SocketAddr) -> Option<SocketKey> {
        self.udp.iter().find(|(endpoint, _)| endpoint.local == from).map(|(_, key)| *key)
    }
}

impl Service for Worker {
    type Mail = Letter;

    fn datagram(&mut self, _: Sample, arrival: &Arrival, packet: &mut Packet<'_>, io: &mut Io) {
        let Some((endpoint, _)) = self.udp.get(arrival.tag as usize) else { return };
        let received = Received { source: arrival.source, local: arrival.destination, over: Transport::Udp };
        let Some(answer) = self.answer(packet.payload(), &received, endpoint, io.reply_buffer()) else { return };
        let mut route = arrival.reply();
        if let Some(from) = answer.from {
            // All four endpoints of a pair are bound, or stund does not start.
            let Some(socket) = self.socket_at(from) else { return };
            route.socket = socket;
        }
        if let Some(port) = answer.to_port {
            route.to.set_port(port);
        }
        io.reply(&route, answer.len);
    }

    fn accepted(&mut self, now: Sample, stream: &StreamInfo, _: &mut Io) -> Admission {
        if self.connections.admit(now.monotonic, stream.key, stream.peer.ip()) {
            Admission::Accept { tag: stream.tag }
        } else {
            Admission::Refuse
        }
    }

    fn frame_len(&mut self, _: &StreamInfo, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        match bytes.first() {
            Some(first) if demux::protocol(*first) != Protocol::Stun => Err(Malformed), // no channels here
            _ => stream::frame_len(bytes).map_err(|_| Malformed),
        }
    }

    fn frame(&mut self, now: Sample, stream: &StreamInfo, frame: &mut Packet<'_>, io: &mut Io) {
        let Some(endpoint) = self.tcp.get(stream.tag as usize) else { return };
        self.connections.heard(now.monotonic, stream.key);
        let received = Received { source: stream.peer, local: stream.local, over: Transport::Tcp };
        if let Some(answer) = self.answer(frame.payload(), &received, endpoint, io.reply_buffer()) {
            // A client that asks and does not read loses answers, which the loop counts.
            let _ = io.reply_frame(stream.key, answer.len);
        }
    }

    fn closed(&mut self, _: Sample, stream: &StreamInfo, end: StreamEnd, _: &mut Io) {
        if end == StreamEnd::Malformed {
            self.counts.silent(Silent::BadFrame);
        }
        self.connections.forget(stream.key);
    }

    fn mail(&mut self, _: Sample, letter: Letter, io: &mut Io) {
        match letter {
            Letter::Stop => io.stop(),
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.connections.next_look()
    }

    fn timeout(&mut self, now: Sample, io: &mut Io) {
        while let Some(idle) = self.connections.take_idle(now.monotonic) {
            self.counts.idle_closed.add(1);
            io.close_stream(idle);
        }
    }
}
