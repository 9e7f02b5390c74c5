//! What the core asks for, done: relayed sockets, records, keys.

use std::io;
use std::sync::Arc;

use causeway_net::{Io, Sample, SocketKey};
use causeway_relay::{BindFailure, Completion, Effect, RelayId, Verdict, WantedPort};
use causeway_wire::attribute::AddressFamily;
use rand::Rng;

use super::{Worker, at};
use crate::capacity::Refused;
use crate::port_pool::PortPool;
use crate::relay_sockets::Socket;
use crate::reservations::Token;

/// A port that another program holds is given up after so many tries with others.
const BIND_TRIES: usize = 16;

impl Worker {
    /// Answers the requests that have waited for a key.
    pub(super) fn answer_parked(&mut self, now: Sample, io: &mut Io) {
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
    pub(super) fn carry_out(&mut self, now: Sample, io: &mut Io) {
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Bind { relay, family, port, credential } => {
                    let completion = self.bind(now, relay, (family, port), credential.quota_name().unwrap_or(credential.username()), io);
                    let verdict = self.server.handle_completion(at(now), completion, io.reply_buffer());
                    if let Verdict::Respond(respond) = verdict {
                        self.tell_allocated(now, &respond, completion.relay().allocation);
                        self.respond(&respond, io);
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

    /// Binds a relayed socket. `user` is who asks.
    fn bind(&mut self, now: Sample, relay: RelayId, (family, port): (AddressFamily, WantedPort), user: &str, io: &mut Io) -> Completion {
        let (pools, reservations) = (Arc::clone(&self.pools), Arc::clone(&self.reservations));
        let start = self.rng.next_u32();
        self.refused = if matches!(port, WantedPort::Reserved(_)) { Refused::Reservation } else { Refused::Port };
        let is_restored = matches!(port, WantedPort::Exactly(_));
        let mut of_family = pools.of_family(family == AddressFamily::Ipv4, start);
        let bound = match port {
            WantedPort::Any => of_family.find_map(|pool| self.bind_any(now, pool, false, relay, io)).map(|found| (found, None)),
            WantedPort::Even => of_family.find_map(|pool| self.bind_any(now, pool, true, relay, io)).map(|found| (found, None)),
            WantedPort::EvenAndReserve => of_family.find_map(|pool| {
                let (port, socket, token) = self.bind_pair(now, pool, user, relay, io)?;
                Some(((pool, port, socket), Some(token)))
            }),
            WantedPort::Exactly(address) => {
                let pool = pools.of_address(address.ip()).filter(|pool| pool.take(address.port()));
                pool.and_then(|pool| Some(((pool, address.port(), self.open(now, pool, address.port(), relay, io).ok()?), None)))
            }
            // The port is lent already, to the reservation.
            WantedPort::Reserved(token) => reservations.claim(now.monotonic, user, token).and_then(|address| {
                let pool = pools.of_address(address.ip())?;
                Some(((pool, address.port(), self.open(now, pool, address.port(), relay, io).ok()?), None))
            }),
        };
        let Some(((pool, port, socket), reservation)) = bound else {
            if !is_restored {
                self.counters.refused(self.refused);
                self.capacity.failed(now.monotonic, self.refused);
            }
            return Completion::BindFailed { relay, failure: BindFailure::Capacity };
        };
        self.capacity.succeeded();
        self.relays.insert(relay, socket);
        self.relayed.hold(pool.bound(port), relay);
        Completion::Bound { relay, bound: pool.bound(port), advertised: pool.advertised(port), reservation }
    }

    /// Binds a port chosen at random, an even one if that is wanted.
    fn bind_any<'p>(
        &mut self,
        now: Sample,
        pool: &'p PortPool,
        even: bool,
        relay: RelayId,
        io: &mut Io,
    ) -> Option<(&'p PortPool, u16, SocketKey)> {
        for _ in 0..BIND_TRIES {
            let port = if even { pool.take_even(&mut self.rng) } else { pool.take_any(&mut self.rng) }?;
            match self.open(now, pool, port, relay, io) {
                Ok(socket) => return Some((pool, port, socket)),
                Err(io::ErrorKind::AddrInUse) => {}
                Err(_) => return None, // another port would be had as little
            }
        }
        None
    }

    /// Binds an even port, and reserves the one after it for the user.
    fn bind_pair(&mut self, now: Sample, pool: &PortPool, user: &str, relay: RelayId, io: &mut Io) -> Option<(u16, SocketKey, Token)> {
        for _ in 0..BIND_TRIES {
            let port = pool.take_pair(&mut self.rng)?;
            let reserved = pool.bound(port + 1);
            let Some(token) = self.reservations.insert(now.monotonic, user, reserved, &mut self.rng) else {
                pool.give_back(port);
                pool.give_back(port + 1);
                self.refused = Refused::Reservation;
                return None;
            };
            let opened = self.open(now, pool, port, relay, io);
            if opened.is_err() && self.reservations.claim(now.monotonic, user, token).is_some() {
                pool.give_back(port + 1);
            }
            match opened {
                Ok(socket) => return Some((port, socket, token)),
                Err(io::ErrorKind::AddrInUse) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Opens the socket of a port that was taken; gives the port back if it cannot be had.
    fn open(&mut self, now: Sample, pool: &PortPool, port: u16, relay: RelayId, io: &mut Io) -> Result<SocketKey, io::ErrorKind> {
        io.bind_udp(pool.bound(port), &self.relayed_options, Socket::Relay(relay).tag()).map_err(|error| {
            pool.give_back(port);
            self.refused = Refused::of(&error);
            self.tell_unbound(now, pool.bound(port), &error);
            error.kind()
        })
    }
}
