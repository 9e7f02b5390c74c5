//! What the core asks for, done: relayed sockets, records, keys.

use std::net::SocketAddr;
use std::sync::Arc;

use causeway_auth::Credential;
use causeway_net::{Io, Sample};
use causeway_relay::{BindFailure, Completion, Effect, RelayId, Verdict, WantedPort};
use causeway_wire::attribute::AddressFamily;
use rand::Rng;

use super::search::{Among, Search};
use super::{Worker, at};
use crate::capacity::Refused;
use crate::ports::reservations::Token;

impl Worker {
    /// Answers the requests that have waited for a key.
    pub(super) fn answer_parked(&mut self, now: Sample, io: &mut Io) {
        self.carry_out(now, io);
        while let Some(verdict) = self.server.next_parked(at(now), io.reply_buffer()) {
            match verdict {
                Verdict::Respond(respond) => self.answer_request(now, &respond, io),
                Verdict::Discard(discard) => self.counters.discarded(discard),
                Verdict::Later
                | Verdict::ToPeer { .. }
                | Verdict::ToClient { .. }
                | Verdict::Notify { .. } => {}
            }
            self.carry_out(now, io);
        }
    }

    /// Does what the core asks for, until it asks for nothing.
    pub(super) fn carry_out(&mut self, now: Sample, io: &mut Io) {
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Bind { relay, family, port, credential } => {
                    if let Some(completion) =
                        self.bind(now, relay, family == AddressFamily::Ipv4, port, credential, io)
                    {
                        self.complete(now, completion, io);
                    }
                }
                Effect::Release { relay, bound } => {
                    self.relayed.release(bound);
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

    /// Reports what became of a relayed socket, and sends the answer if that was what it waited
    /// for.
    pub(super) fn complete(&mut self, now: Sample, completion: Completion, io: &mut Io) {
        let verdict = self.server.handle_completion(at(now), completion, io.reply_buffer());
        if let Verdict::Respond(respond) = verdict {
            self.tell_allocated(now, &respond, completion.relay().allocation);
            self.respond(&respond, io);
        }
    }

    /// Binds a relayed socket; `None` when the search for a port goes on in the next turn.
    fn bind(
        &mut self,
        now: Sample,
        relay: RelayId,
        ipv4: bool,
        port: WantedPort,
        credential: Arc<Credential>,
        io: &mut Io,
    ) -> Option<Completion> {
        let among = match port {
            WantedPort::Any => Among::Any,
            WantedPort::Even => Among::Even,
            WantedPort::EvenAndReserve => Among::Pairs,
            WantedPort::Reserved(token) => {
                return Some(self.bind_reserved(now, relay, token, &credential, io));
            }
            WantedPort::Exactly(address) => return Some(self.bind_exactly(relay, address, io)),
        };
        let search = Search::new(relay, ipv4, among, credential, self.rng.next_u32());
        self.search(now, search, io)
    }

    /// Binds the port that a token stands for: it is lent already, to the reservation.
    pub(super) fn bind_reserved(
        &mut self,
        now: Sample,
        relay: RelayId,
        token: Token,
        credential: &Credential,
        io: &mut Io,
    ) -> Completion {
        let pools = Arc::clone(&self.pools);
        let claimed = self.reservations.claim(now.monotonic, credential.holder(), token);
        let Some((address, pool)) =
            claimed.and_then(|address| Some((address, pools.of_address(address.ip())?)))
        else {
            return self.not_bound(now, relay, true, Refused::Reservation);
        };
        match self.open(pool, address.port(), relay, io) {
            Ok(socket) => self.bound(relay, pool, address.port(), socket, None),
            Err(error) => {
                let refused = self.unbound(now, pool, address.port(), error);
                self.not_bound(now, relay, address.is_ipv4(), refused)
            }
        }
    }

    /// Binds the port of an allocation that is brought back.
    fn bind_exactly(&mut self, relay: RelayId, address: SocketAddr, io: &mut Io) -> Completion {
        let pools = Arc::clone(&self.pools);
        let pool = pools.of_address(address.ip()).filter(|pool| pool.take(address.port()));
        let opened = pool.map(|pool| (pool, self.open(pool, address.port(), relay, io)));
        if let Some((pool, Ok(socket))) = opened {
            return self.bound(relay, pool, address.port(), socket, None);
        }
        if let Some((pool, Err(error))) = opened {
            tracing::debug!(%address, %error, "cannot bind the relayed address of a stored allocation");
            pool.give_back(address.port());
        }
        Completion::BindFailed { relay, failure: BindFailure::Capacity }
    }
}
