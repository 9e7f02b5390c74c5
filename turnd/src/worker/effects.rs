//! Carries out the effects that the core asks for: relayed sockets, accounts, keys.

use std::sync::Arc;

use causeway_auth::Credential;
use causeway_net::{Io, Sample};
use causeway_relay::{BindFailure, BoundAddress, Completion, Effect, RelayId, Reply, WantedPort};
use causeway_wire::attribute::AddressFamily;
use rand::Rng;

use super::search::{Among, Search};
use super::{Worker, at};
use crate::capacity::Refused;
use crate::ports::reservations::Token;

impl Worker {
    /// Replies to the requests that waited for a key.
    pub(super) fn answer_parked(&mut self, now: Sample, io: &mut Io) {
        self.carry_out(now, io);
        while let Some(reply) = self.server.next_parked(at(now), io.reply_buffer()) {
            self.reply(now, &reply, io);
            self.carry_out(now, io);
        }
    }

    /// Carries out all effects that the core has queued, and those that follow from them.
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
                Effect::Ended(ended) => self.log_ended(now, &ended),
                Effect::WantKey { username } => {
                    if let Some(keys) = &self.keys {
                        keys.ask(self.index, username);
                    }
                }
            }
        }
    }

    /// Reports to the core how a bind ended, and sends the response that waited for it, if any did.
    pub(super) fn complete(&mut self, now: Sample, completion: Completion, io: &mut Io) {
        match self.server.handle_completion(at(now), completion, io.reply_buffer()) {
            Reply::Respond(respond) => {
                self.log_allocated(now, &respond, completion.relay().allocation);
                self.respond(&respond, io);
            }
            Reply::Discard(discard) => self.discard(discard),
            Reply::Later => {}
        }
    }

    /// Binds a relayed socket. `None` when the search for a port continues in the next turn.
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

    /// Binds the port that a token stands for: the reservation has taken it from the pool.
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

    /// Binds the port of an allocation that is being restored.
    fn bind_exactly(&mut self, relay: RelayId, address: BoundAddress, io: &mut Io) -> Completion {
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
