//! Carries the core's verdicts to the sockets: data to peers and clients, replies to clients.

use std::ops::Range;

use causeway_net::{AssociationKey, Io, Packet, Route, Sample, SocketKey, StreamKey};
use causeway_relay::{
    ClientVerdict, Discard, FiveTuple, Notify, Reply, Respond, ToClient, ToPeer, Transport,
};
use causeway_wire::{ErrorCode, Method};

use super::Worker;
use crate::capacity::Refused;
use crate::clients::connections::Connection;
use crate::counters::index;
use crate::ports::holders::Peer;

/// The way to a client.
pub(super) enum Leg {
    /// Plain UDP, through a listener.
    Datagram(Route),
    /// TCP, or TLS over it.
    Stream(StreamKey),
    /// DTLS over UDP.
    Association(AssociationKey),
}

impl Worker {
    /// Carries out the verdict on a client's message, which arrived with `tos`.
    pub(super) fn client_verdict(
        &mut self,
        now: Sample,
        from: &FiveTuple,
        verdict: ClientVerdict,
        tos: u8,
        packet: &mut Packet<'_>,
        io: &mut Io,
    ) {
        match verdict {
            ClientVerdict::ToPeer(to_peer) => {
                self.relay_to_peer(now, from.transport, &to_peer, tos, packet, io);
            }
            ClientVerdict::Reply(reply) => {
                if let Reply::Discard(discard) = reply {
                    self.log_discarded(now, from, discard, packet.payload());
                }
                self.reply(now, &reply, io);
            }
        }
    }

    /// Sends a client's data to a peer: through the relayed socket, or in memory to another
    /// relayed address of this process.
    fn relay_to_peer(
        &mut self,
        now: Sample,
        transport: Transport,
        to_peer: &ToPeer,
        tos: u8,
        packet: &mut Packet<'_>,
        io: &mut Io,
    ) {
        let (peer, data) = (to_peer.peer, to_peer.data());
        let (len, tos) = (data.len(), if to_peer.carry_tos { tos } else { 0 });
        match self.relayed.find(peer) {
            Peer::Unheld(ours) if !self.server.policy().opens_relay(ours) => {
                return self.discard(Discard::NotRelayed);
            }
            Peer::Elsewhere | Peer::Unheld(_) => {
                let Some(socket) = self.relays.get(to_peer.relay) else {
                    return self.discard(Discard::NotReady);
                };
                let dont_fragment = to_peer.dont_fragment;
                let route = Route { socket, to: peer.0, from: None, tos, dont_fragment };
                io.forward(&route, packet, &[], data, 0);
            }
            Peer::Relayed(other) => {
                self.relay_to_relay(now, (to_peer.relay, other), (data, tos), packet, io);
            }
        }
        self.counters.to_peer[index(transport)].add(len);
    }

    /// Carries out the verdict on a peer's datagram, which is `data` of the packet.
    pub(super) fn peer_verdict(
        &mut self,
        verdict: Result<ToClient, Discard>,
        tos: u8,
        packet: &mut Packet<'_>,
        data: Range<usize>,
        io: &mut Io,
    ) {
        match verdict {
            Ok(to_client) => {
                let len = data.len();
                if self.relay_to_client(&to_client, tos, packet, data, io) {
                    self.counters.to_client[index(to_client.client.transport)].add(len);
                }
            }
            Err(discard) => self.discard(discard),
        }
    }

    /// Carries out the verdict on an ICMP error.
    pub(super) fn notice_verdict(&mut self, verdict: Result<Notify, Discard>, io: &mut Io) {
        match verdict {
            Ok(Notify { client, len }) => self.send_reply(&client, len, io),
            Err(discard) => self.discard(discard),
        }
    }

    /// Carries out a reply that no relayed socket had to be bound for.
    pub(super) fn reply(&mut self, now: Sample, reply: &Reply, io: &mut Io) {
        match reply {
            Reply::Respond(respond) => {
                // The only 508 to an Allocate among these: the worker has the maximum of
                // allocations.
                if respond.method == Method::ALLOCATE
                    && respond.error == Some(ErrorCode::INSUFFICIENT_CAPACITY)
                {
                    self.counters.refused(Refused::Maximum);
                    self.log_unbound(now, true, Refused::Maximum);
                }
                self.respond(respond, io);
            }
            Reply::Discard(discard) => self.discard(*discard),
            Reply::Later => {}
        }
    }

    /// Counts why nothing was sent. Every discard, of the core or of the worker, ends here.
    #[inline]
    pub(super) fn discard(&self, discard: Discard) {
        self.counters.discarded(discard);
    }

    /// Puts the prefix in front of the peer's datagram where it lies, and sends it. Returns whether
    /// it was taken.
    fn relay_to_client(
        &self,
        to_client: &ToClient,
        tos: u8,
        packet: &mut Packet<'_>,
        body: Range<usize>,
        io: &mut Io,
    ) -> bool {
        let (prefix, padding) = (to_client.prefix.as_bytes(), usize::from(to_client.padding));
        let tos = if to_client.carry_tos { tos } else { 0 };
        match self.leg(&to_client.client) {
            Some(Leg::Datagram(route)) => {
                io.forward(&Route { tos, ..route }, packet, prefix, body, padding);
                true
            }
            Some(Leg::Stream(stream)) => {
                io.forward_frame(stream, packet, prefix, body, padding).is_ok()
            }
            Some(Leg::Association(key)) => {
                let parts = [prefix, &packet.payload()[body], &[0; 3][..padding]];
                io.send_secure(key, &parts, tos).is_ok()
            }
            None => false,
        }
    }

    /// Sends the response that stands in the reply buffer.
    pub(super) fn respond(&self, respond: &Respond, io: &mut Io) {
        self.counters.responses.add(1);
        if let Some(code) = respond.error {
            self.counters.error(code);
            self.log_refusal(respond, code);
        }
        self.send_reply(&respond.to, respond.len, io);
    }

    /// Sends the first `len` bytes of the reply buffer to a client.
    fn send_reply(&self, client: &FiveTuple, len: usize, io: &mut Io) {
        // A client that does not read its replies loses them; the loop counts each drop.
        let _sent = match self.leg(client) {
            Some(Leg::Datagram(route)) => {
                io.reply(&route, len);
                true
            }
            Some(Leg::Stream(stream)) => io.reply_frame(stream, len).is_ok(),
            Some(Leg::Association(key)) => io.reply_secure(key, len).is_ok(),
            None => false,
        };
    }

    /// The way to a client; `None` when its connection, or the listener that it used, is gone.
    #[inline]
    pub(super) fn leg(&self, client: &FiveTuple) -> Option<Leg> {
        if client.transport == Transport::Udp {
            return self.route(client).map(Leg::Datagram);
        }
        match self.connections.find(client)? {
            Connection::Stream(stream) => Some(Leg::Stream(stream)),
            Connection::Association(key) => Some(Leg::Association(key)),
        }
    }

    /// The route to a client of plain UDP, through its proxy if it has one.
    fn route(&self, client: &FiveTuple) -> Option<Route> {
        let socket = self.listener(client)?;
        let to = self.proxied.find(client).unwrap_or(client.client);
        Some(Route { socket, to, from: Some(client.server.ip()), tos: 0, dont_fragment: false })
    }

    fn listener(&self, client: &FiveTuple) -> Option<SocketKey> {
        self.listeners
            .iter()
            .find(|listener| listener.answers_for(&client.server))
            .map(|listener| listener.key)
    }
}
