//! What the core has decided, carried to the sockets.

use std::ops::Range;

use causeway_net::{Io, Packet, Route, Sample, SocketKey};
use causeway_relay::{Discard, FiveTuple, Prefix, Respond, Transport, Verdict};
use causeway_wire::{ErrorCode, Method};

use super::Worker;
use crate::capacity::Refused;
use crate::clients::connections::Connection;
use crate::counters::index;
use crate::ports::holders::Peer;

impl Worker {
    /// What becomes of a client's message. `tos` is what it came with.
    pub(super) fn client_verdict(
        &mut self,
        now: Sample,
        from: &FiveTuple,
        verdict: Verdict,
        tos: u8,
        packet: &mut Packet<'_>,
        io: &mut Io,
    ) {
        match verdict {
            Verdict::ToPeer { relay, peer, start, end, carry_tos, dont_fragment } => {
                let tos = if carry_tos { tos } else { 0 };
                match self.relayed.find(peer) {
                    Peer::Unheld(ours) if !self.server.policy().opens_relay(ours) => {
                        return self.counters.discarded(Discard::NotRelayed);
                    }
                    Peer::Elsewhere | Peer::Unheld(_) => {
                        let Some(socket) = self.relays.get(relay) else {
                            return self.counters.discarded(Discard::NotReady);
                        };
                        io.forward(
                            &Route { socket, to: peer, from: None, tos, dont_fragment },
                            packet,
                            &[],
                            start..end,
                            0,
                        );
                    }
                    Peer::Relayed(other) => {
                        self.relay_to_relay(now, (relay, other), (start..end, tos), packet, io);
                    }
                }
                self.counters.to_peer[index(from.transport)].add(end - start);
            }
            Verdict::Respond(respond) => self.answer_request(now, &respond, io),
            Verdict::Discard(discard) => {
                self.counters.discarded(discard);
                self.tell_discarded(now, from, discard, packet.payload());
            }
            Verdict::Later | Verdict::ToClient { .. } | Verdict::Notify { .. } => {}
        }
    }

    /// What becomes of a peer's datagram, which is `data` of the packet.
    pub(super) fn peer_verdict(
        &mut self,
        verdict: Verdict,
        tos: u8,
        packet: &mut Packet<'_>,
        data: Range<usize>,
        io: &mut Io,
    ) {
        match verdict {
            Verdict::ToClient { client, prefix, padding, carry_tos } => {
                let len = data.len();
                let tos = if carry_tos { tos } else { 0 };
                if self.to_client(&client, (&prefix, data, padding), tos, packet, io) {
                    self.counters.to_client[index(client.transport)].add(len);
                }
            }
            Verdict::Discard(discard) => self.counters.discarded(discard),
            Verdict::Later
            | Verdict::ToPeer { .. }
            | Verdict::Notify { .. }
            | Verdict::Respond(_) => {}
        }
    }

    /// What becomes of an ICMP error.
    pub(super) fn notice_verdict(&mut self, verdict: Verdict, io: &mut Io) {
        match verdict {
            Verdict::Notify { client, len } => self.answer(&client, len, io),
            Verdict::Discard(discard) => self.counters.discarded(discard),
            Verdict::Later
            | Verdict::ToPeer { .. }
            | Verdict::ToClient { .. }
            | Verdict::Respond(_) => {}
        }
    }

    /// Puts `prefix` in front of the peer's datagram where it lies, and sends it. Whether it was
    /// taken.
    fn to_client(
        &self,
        client: &FiveTuple,
        (prefix, body, padding): (&Prefix, Range<usize>, usize),
        tos: u8,
        packet: &mut Packet<'_>,
        io: &mut Io,
    ) -> bool {
        let prefix = prefix.as_bytes();
        match client.transport {
            Transport::Udp => {
                let Some(route) = self.route(client) else { return false };
                io.forward(&Route { tos, ..route }, packet, prefix, body, padding);
                true
            }
            Transport::Tcp | Transport::Tls | Transport::Dtls => {
                match self.connections.find(client) {
                    Some(Connection::Stream(stream)) => {
                        io.forward_frame(stream, packet, prefix, body, padding).is_ok()
                    }
                    Some(Connection::Association(key)) => io
                        .send_secure(
                            key,
                            &[prefix, &packet.payload()[body], &[0; 3][..padding]],
                            tos,
                        )
                        .is_ok(),
                    None => false,
                }
            }
        }
    }

    /// Sends an answer that no socket had to be bound for. The only 508 to an Allocate among these:
    /// the worker has as many as it may.
    pub(super) fn answer_request(&mut self, now: Sample, respond: &Respond, io: &mut Io) {
        if respond.method == Method::ALLOCATE
            && respond.error == Some(ErrorCode::INSUFFICIENT_CAPACITY)
        {
            self.counters.refused(Refused::Maximum);
            self.tell_unbound(now, true, Refused::Maximum);
        }
        self.respond(respond, io);
    }

    /// Sends the answer that stands in the reply buffer.
    pub(super) fn respond(&self, respond: &Respond, io: &mut Io) {
        self.counters.responses.add(1);
        if let Some(code) = respond.error {
            self.counters.error(code);
            self.tell_refusal(respond, code);
        }
        self.answer(&respond.to, respond.len, io);
    }

    /// Sends the first `len` bytes of the reply buffer to a client.
    fn answer(&self, client: &FiveTuple, len: usize, io: &mut Io) {
        // A client that does not read its answers loses them; the loop counts what it drops.
        let _sent = match client.transport {
            Transport::Udp => self.route(client).map(|route| io.reply(&route, len)).is_some(),
            Transport::Tcp | Transport::Tls | Transport::Dtls => {
                match self.connections.find(client) {
                    Some(Connection::Stream(stream)) => io.reply_frame(stream, len).is_ok(),
                    Some(Connection::Association(key)) => io.reply_secure(key, len).is_ok(),
                    None => false,
                }
            }
        };
    }

    /// How a client of plain UDP is reached.
    pub(super) fn route(&self, client: &FiveTuple) -> Option<Route> {
        let socket = self.listener(client)?;
        let to = self.proxied.find(client.client, client.server).unwrap_or(client.client);
        Some(Route { socket, to, from: Some(client.server.ip()), tos: 0, dont_fragment: false })
    }

    fn listener(&self, client: &FiveTuple) -> Option<SocketKey> {
        self.listeners
            .iter()
            .find(|listener| listener.answers_for(&client.server))
            .map(|listener| listener.key)
    }
}
