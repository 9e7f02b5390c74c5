//! Where a datagram's life is joined: it enters in `net`, is decided on in `relay`, and leaves in `net`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use causeway_daemon::log::{self, AuthFailure, redacted};
use causeway_net::{Admission, Arrival, Io, Malformed, Packet, Route, Sample, Service, SocketKey, StreamEnd, StreamInfo, UdpOptions};
use causeway_relay::{
    AllocationId, AllocationRecord, BindFailure, Command, Completion, Discard, Effect, Ended, FiveTuple, KeyAnswer, Now, Prefix, RelayId,
    Respond, Server,
};
use causeway_relay::{Transport, Verdict, WantedPort};
use causeway_wire::attribute::AddressFamily;
use causeway_wire::{ErrorCode, Method, stream};
use rand::Rng;
use rand::rngs::StdRng;

use crate::counters::{Counters, index};
use crate::journal::Journal;
use crate::keys::KeyQuestions;
use crate::port_pool::{PortPool, PortPools};
use crate::quota::UserQuota;
use crate::relay_sockets::{ListenerSocket, RelaySockets, Socket};
use crate::reservations::{Reservations, Token};
use crate::streams::{Streams, five_tuple};

/// A port that another program holds is given up after so many tries with others.
const BIND_TRIES: usize = 16;

/// What the control side sends to a worker.
pub(crate) enum Mail {
    /// End.
    Stop,
    /// Give up to so many changes for the store.
    Changes {
        /// So many.
        limit: usize,
    },
    /// The store is to be written anew.
    OfferAll,
    /// What the store said of a user whose key was wanted.
    Key {
        /// Whose.
        username: Box<str>,
        /// The key, or that there is none.
        answer: KeyAnswer,
    },
    /// What the operator, or the store, wants.
    Command(Command),
}

/// One worker's share of the service.
pub(crate) struct Worker {
    pub(crate) index: u16,
    pub(crate) server: Server<UserQuota, StdRng>,
    pub(crate) listeners: Vec<ListenerSocket>,
    pub(crate) relays: RelaySockets,
    pub(crate) streams: Streams,
    pub(crate) pools: Arc<PortPools>,
    /// Of all workers.
    pub(crate) reservations: Arc<Reservations>,
    pub(crate) rng: StdRng,
    pub(crate) counters: Arc<Counters>,
    /// Makes a log session's id of a 5-tuple.
    pub(crate) sessions: RandomState,
    /// What the store is told, if there is one.
    pub(crate) journal: Option<Journal>,
    /// Whom to ask for keys, if there are users in the store.
    pub(crate) keys: Option<KeyQuestions>,
}

impl Service for Worker {
    type Mail = Mail;

    fn datagram(&mut self, now: Sample, arrival: &Arrival, packet: &mut Packet<'_>, io: &mut Io) {
        match Socket::from_tag(arrival.tag, self.index) {
            Socket::Listener => {
                let from = FiveTuple { client: arrival.source, server: arrival.destination, transport: Transport::Udp };
                let verdict = self.server.handle_client(at(now), &from, packet.payload(), io.reply_buffer());
                // RFC 8656 §14: between UDP and UDP, DSCP and ECN are carried across.
                self.client_verdict(&from, verdict, arrival.tos, packet, io);
            }
            Socket::Relay(relay) => {
                let verdict = self.server.handle_peer(at(now), relay, arrival.source, packet.payload().len());
                self.peer_verdict(verdict, arrival.tos, packet, io);
            }
        }
        self.carry_out(now, io);
    }

    fn accepted(&mut self, now: Sample, stream: &StreamInfo, _: &mut Io) -> Admission {
        if self.streams.admit(now.monotonic, stream) { Admission::Accept { tag: 0 } } else { Admission::Refuse }
    }

    fn frame_len(&mut self, _: &StreamInfo, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        stream::frame_len(bytes).map_err(|_| Malformed)
    }

    fn frame(&mut self, now: Sample, stream: &StreamInfo, frame: &mut Packet<'_>, io: &mut Io) {
        let from = five_tuple(stream);
        let verdict = self.server.handle_client(at(now), &from, frame.payload(), io.reply_buffer());
        // RFC 8656 §15: from a stream, the IP layer's fields have their defaults.
        self.client_verdict(&from, verdict, 0, frame, io);
        self.carry_out(now, io);
    }

    fn closed(&mut self, now: Sample, stream: &StreamInfo, _: StreamEnd, io: &mut Io) {
        self.client_gone(now, &five_tuple(stream), io);
    }

    fn mail(&mut self, now: Sample, mail: Mail, io: &mut Io) {
        match mail {
            Mail::Stop => io.stop(),
            Mail::Changes { limit } => {
                if let Some(journal) = &mut self.journal {
                    journal.give(self.index, &mut self.server, at(now), limit);
                }
            }
            Mail::Key { username, answer } => {
                self.server.handle_key(at(now), &username, answer);
                self.answer_parked(now, io);
            }
            Mail::Command(command) => {
                self.server.handle_command(at(now), command);
                self.carry_out(now, io);
            }
            Mail::OfferAll => {
                if let Some(journal) = &self.journal {
                    journal.offer_all(self.index, &mut self.server);
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        [self.server.poll_timeout(), self.streams.next_deadline(), self.reservations.next_expiry()].into_iter().flatten().min()
    }

    fn timeout(&mut self, now: Sample, io: &mut Io) {
        self.server.handle_timeout(at(now));
        self.answer_parked(now, io);
        for unclaimed in self.reservations.expire(now.monotonic) {
            self.pools.give_back(unclaimed);
        }
        while let Some((five_tuple, stream)) = self.streams.due(now.monotonic) {
            // H14: a connection that holds no allocation has had its time.
            if self.server.allocation(&five_tuple).is_none() {
                tracing::debug!(session = %self.session(&five_tuple), "closing a connection without an allocation");
                io.close_stream(stream);
                self.client_gone(now, &five_tuple, io);
            }
        }
    }

    fn after_batch(&mut self, _: Sample, _: &mut Io) {
        if let Some(journal) = &mut self.journal {
            let unwritten = self.server.unwritten();
            self.counters.unwritten.set(unwritten as u64);
            journal.ring(unwritten);
        }
        let gauges = self.server.gauges();
        self.counters.permissions.set(gauges.permissions as u64);
        self.counters.channels.set(gauges.channels as u64);
        self.counters.prefixes.set(gauges.prefixes as u64);
        self.counters.parked.set(gauges.parked as u64);
        self.counters.keys.set(gauges.keys as u64);
    }
}

impl Worker {
    fn client_verdict(&mut self, from: &FiveTuple, verdict: Verdict, tos: u8, packet: &mut Packet<'_>, io: &mut Io) {
        match verdict {
            Verdict::ToPeer { relay, peer, start, end, carry_tos, dont_fragment: _ } => {
                let tos = if carry_tos { tos } else { 0 };
                let Some(socket) = self.relays.get(relay) else { return self.counters.discarded(Discard::NotReady) };
                let Some(span) = packet.span(0, start..end, 0) else { return self.counters.discarded(Discard::TooLong) };
                io.send(&Route { socket, to: peer, from: None, tos, dont_fragment: false }, span);
                self.counters.to_peer[index(from.transport)].add(end - start);
            }
            Verdict::Respond(respond) => self.respond(&respond, io),
            Verdict::Discard(discard) => self.counters.discarded(discard),
            Verdict::Later | Verdict::ToClient { .. } | Verdict::Notify { .. } => {}
        }
    }

    fn peer_verdict(&mut self, verdict: Verdict, tos: u8, packet: &mut Packet<'_>, io: &mut Io) {
        match verdict {
            Verdict::ToClient { client, prefix, padding, carry_tos } => {
                let tos = if carry_tos { tos } else { 0 };
                let len = packet.payload().len();
                if self.to_client(&client, &prefix, padding, tos, packet, io) {
                    self.counters.to_client[index(client.transport)].add(len);
                }
            }
            Verdict::Discard(discard) => self.counters.discarded(discard),
            Verdict::Later | Verdict::ToPeer { .. } | Verdict::Notify { .. } | Verdict::Respond(_) => {}
        }
    }

    /// Puts `prefix` in front of the peer's datagram where it lies, and sends it. Whether it was taken.
    fn to_client(&self, client: &FiveTuple, prefix: &Prefix, padding: usize, tos: u8, packet: &mut Packet<'_>, io: &mut Io) -> bool {
        let (prefix, body) = (prefix.as_bytes(), 0..packet.payload().len());
        if client.transport.is_stream() {
            return self.streams.key(client).is_some_and(|stream| io.forward_frame(stream, packet, prefix, body, padding).is_ok());
        }
        let Some(socket) = self.listener(client) else { return false };
        let Some(front) = packet.front_mut(0, prefix.len()) else { return false };
        front.copy_from_slice(prefix);
        let Some(span) = packet.span(prefix.len(), body, padding) else { return false };
        io.send(&Route { socket, to: client.client, from: Some(client.server.ip()), tos, dont_fragment: false }, span);
        true
    }

    /// Sends the answer that stands in the reply buffer.
    fn respond(&self, respond: &Respond, io: &mut Io) {
        self.counters.responses.add(1);
        if let Some(code) = respond.error {
            self.counters.error(code);
            self.tell_refusal(respond, code);
        }
        let to = &respond.to;
        if to.transport.is_stream() {
            if let Some(stream) = self.streams.key(to) {
                // A client that does not read its answers loses them; the queue's drop is counted by the loop.
                let _dropped = io.reply_frame(stream, respond.len);
            }
        } else if let Some(socket) = self.listener(to) {
            io.reply(&Route { socket, to: to.client, from: Some(to.server.ip()), tos: 0, dont_fragment: false }, respond.len);
        }
    }

    fn tell_refusal(&self, respond: &Respond, code: ErrorCode) {
        let client = respond.to.client;
        match respond.refusal {
            Some(refusal) if refusal.is_failure() => {
                self.counters.auth_failures.add(1);
                let (session, reason) = (self.sessions.hash_one(respond.to), refusal.reason());
                log::auth_failure(&AuthFailure { client, session, reason, code: code.number() });
            }
            Some(_) => {}
            None if respond.method == Method::BINDING => {}
            None => {
                let method = respond.method;
                tracing::debug!(session = %self.session(&respond.to), client = %redacted(client), ?method, %code, "request refused");
            }
        }
    }

    /// Answers the requests that have waited for a key.
    fn answer_parked(&mut self, now: Sample, io: &mut Io) {
        self.carry_out(now, io);
        while let Some(verdict) = self.server.next_parked(at(now), io.reply_buffer()) {
            match verdict {
                Verdict::Respond(respond) => self.respond(&respond, io),
                Verdict::Discard(discard) => self.counters.discarded(discard),
                Verdict::Later | Verdict::ToPeer { .. } | Verdict::ToClient { .. } | Verdict::Notify { .. } => {}
            }
            self.carry_out(now, io);
        }
    }

    /// Does what the core asks for, until it asks for nothing.
    fn carry_out(&mut self, now: Sample, io: &mut Io) {
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Bind { relay, family, port, credential } => {
                    let completion = self.bind(now, relay, (family, port), credential.quota_name(), io);
                    let verdict = self.server.handle_completion(at(now), completion, io.reply_buffer());
                    if let Verdict::Respond(respond) = verdict {
                        self.tell_allocated(&respond, completion.relay().allocation);
                        self.respond(&respond, io);
                    }
                }
                Effect::Release { relay, bound } => {
                    if let Some(socket) = self.relays.remove(relay) {
                        io.release_udp(socket);
                    }
                    self.pools.give_back(bound);
                }
                Effect::Ended(ended) => self.tell_ended(now, &ended),
                Effect::WantKey { username } => {
                    if let Some(keys) = &self.keys {
                        keys.ask(self.index, username);
                    }
                }
            }
        }
    }

    /// Binds a relayed socket. `user` is who asks.
    fn bind(&mut self, now: Sample, relay: RelayId, (family, port): (AddressFamily, WantedPort), user: &str, io: &mut Io) -> Completion {
        let (pools, reservations) = (Arc::clone(&self.pools), Arc::clone(&self.reservations));
        let start = self.rng.next_u32();
        let mut of_family = pools.of_family(family == AddressFamily::Ipv4, start);
        let bound = match port {
            WantedPort::Any => of_family.find_map(|pool| self.bind_any(pool, false, relay, io)).map(|found| (found, None)),
            WantedPort::Even => of_family.find_map(|pool| self.bind_any(pool, true, relay, io)).map(|found| (found, None)),
            WantedPort::EvenAndReserve => of_family.find_map(|pool| {
                let (port, socket, token) = self.bind_pair(now, pool, user, relay, io)?;
                Some(((pool, port, socket), Some(token)))
            }),
            WantedPort::Exactly(address) => {
                let pool = pools.of_address(address.ip()).filter(|pool| pool.take(address.port()));
                pool.and_then(|pool| Some(((pool, address.port(), self.open(pool, address.port(), relay, io)?), None)))
            }
            // The port is lent already, to the reservation.
            WantedPort::Reserved(token) => reservations.claim(now.monotonic, user, token).and_then(|address| {
                let pool = pools.of_address(address.ip())?;
                Some(((pool, address.port(), self.open(pool, address.port(), relay, io)?), None))
            }),
        };
        let Some(((pool, port, socket), reservation)) = bound else {
            return Completion::BindFailed { relay, failure: BindFailure::Capacity };
        };
        self.relays.insert(relay, socket);
        Completion::Bound { relay, bound: pool.bound(port), advertised: pool.advertised(port), reservation }
    }

    fn bind_any<'p>(&mut self, pool: &'p PortPool, even: bool, relay: RelayId, io: &mut Io) -> Option<(&'p PortPool, u16, SocketKey)> {
        (0..BIND_TRIES).find_map(|_| {
            let port = if even { pool.take_even(&mut self.rng) } else { pool.take_any(&mut self.rng) }?;
            self.open(pool, port, relay, io).map(|socket| (pool, port, socket))
        })
    }

    /// Binds an even port, and reserves the one after it for the user.
    fn bind_pair(&mut self, now: Sample, pool: &PortPool, user: &str, relay: RelayId, io: &mut Io) -> Option<(u16, SocketKey, Token)> {
        (0..BIND_TRIES).find_map(|_| {
            let port = pool.take_pair(&mut self.rng)?;
            let reserved = pool.bound(port + 1);
            let Some(token) = self.reservations.insert(now.monotonic, user, reserved, &mut self.rng) else {
                pool.give_back(port);
                pool.give_back(port + 1);
                return None;
            };
            let socket = self.open(pool, port, relay, io);
            if socket.is_none() && self.reservations.claim(now.monotonic, user, token).is_some() {
                pool.give_back(port + 1);
            }
            socket.map(|socket| (port, socket, token))
        })
    }

    /// Opens the socket of a port that was taken; gives the port back if it cannot be had.
    fn open(&self, pool: &PortPool, port: u16, relay: RelayId, io: &mut Io) -> Option<SocketKey> {
        match io.bind_udp(pool.bound(port), &UdpOptions::RELAYED, Socket::Relay(relay).tag()) {
            Ok(socket) => Some(socket),
            Err(error) => {
                pool.give_back(port);
                tracing::warn!(address = %pool.bound(port), %error, "cannot bind a relayed address");
                None
            }
        }
    }

    fn tell_allocated(&self, respond: &Respond, allocation: AllocationId) {
        let relayed = self.server.relayed(allocation);
        let Some(first) = relayed.first() else { return };
        self.counters.allocated(respond.to.transport, first.is_ipv4());
        tracing::debug!(
            session = %self.session(&respond.to),
            %allocation,
            client = %redacted(respond.to.client),
            transport = respond.to.transport.name(),
            ?relayed,
            "allocated"
        );
    }

    fn tell_ended(&mut self, now: Sample, ended: &Ended) {
        if let Some(journal) = &mut self.journal {
            journal.account(now.unix, self.server.realm(), ended);
        }
        self.counters.ended(ended.client.transport, ended.relayed.first().map(SocketAddr::is_ipv4), ended.reason);
        if ended.client.transport.is_stream() {
            self.streams.watch(now.monotonic, &ended.client);
        }
        if ended.relayed.is_empty() {
            return;
        }
        let (relayed, traffic) = (&ended.relayed, ended.traffic);
        tracing::info!(
            session = %self.session(&ended.client),
            allocation = %ended.allocation,
            user = ended.credential.username(),
            client = %redacted(ended.client.client),
            transport = ended.client.transport.name(),
            ?relayed,
            seconds = ended.duration.as_secs(),
            packets_to_peer = traffic.packets_to_peer,
            bytes_to_peer = traffic.bytes_to_peer,
            packets_to_client = traffic.packets_to_client,
            bytes_to_client = traffic.bytes_to_client,
            reason = ended.reason.name(),
            "allocation ended"
        );
    }

    /// Brings a stored allocation back, before the loop runs. `false` when its port, its 5-tuple or its quota is taken.
    pub(crate) fn restore(&mut self, now: Sample, record: &AllocationRecord, io: &mut Io) -> bool {
        if self.server.adopt(at(now), record).is_none() {
            return false;
        }
        self.carry_out(now, io);
        let relayed = self.server.allocation(&record.five_tuple).map(|id| self.server.relayed(id)).unwrap_or_default();
        let Some(first) = relayed.first() else { return false };
        self.counters.allocated(record.five_tuple.transport, first.is_ipv4());
        true
    }

    fn client_gone(&mut self, now: Sample, five_tuple: &FiveTuple, io: &mut Io) {
        self.streams.remove(five_tuple);
        self.server.handle_command(at(now), Command::ClientGone(*five_tuple));
        self.carry_out(now, io);
    }

    fn listener(&self, client: &FiveTuple) -> Option<SocketKey> {
        self.listeners.iter().find(|listener| listener.answers_for(&client.server)).map(|listener| listener.key)
    }

    /// The id that every line of a client's session carries.
    fn session(&self, five_tuple: &FiveTuple) -> String {
        format!("{:016x}", self.sessions.hash_one(five_tuple))
    }
}

fn at(now: Sample) -> Now {
    Now { monotonic: now.monotonic, unix: now.unix }
}
