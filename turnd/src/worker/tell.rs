//! The worker's lines in the log.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_daemon::log::{self, AuthFailure, redacted};
use causeway_net::Sample;
use causeway_relay::{AllocationId, Ended, FiveTuple, Respond, Transport};
use causeway_wire::{ErrorCode, Method};

use super::Worker;

impl Worker {
    pub(super) fn tell_refusal(&self, respond: &Respond, code: ErrorCode) {
        let client = respond.to.client;
        match respond.refusal {
            Some(refusal) if refusal.is_failure() => {
                self.counters.auth_failed(refusal);
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

    pub(super) fn tell_allocated(&mut self, now: Sample, respond: &Respond, allocation: AllocationId) {
        let relayed = self.server.relayed(allocation);
        let Some(first) = relayed.first() else { return };
        self.counters.allocated(respond.to.transport, first.is_ipv4());
        self.account_start(now, allocation);
    }

    pub(super) fn tell_ended(&mut self, now: Sample, ended: &Ended) {
        self.account_end(now, ended);
        self.counters.ended(ended.client.transport, ended.relayed.first().map(SocketAddr::is_ipv4), ended.reason);
        if ended.client.transport != Transport::Udp {
            self.connections.watch(now.monotonic, &ended.client);
        }
    }

    /// Said once a second at the most: whoever may relay can ask for ports as often as he likes.
    pub(super) fn tell_unbound(&mut self, now: Sample, address: SocketAddr, error: &io::Error) {
        if now.monotonic >= self.silent_until {
            self.silent_until = now.monotonic + Duration::from_secs(1);
            tracing::warn!(%address, %error, "cannot bind a relayed address");
        }
    }

    /// The id that every line of a client's session carries.
    pub(super) fn session(&self, five_tuple: &FiveTuple) -> String {
        format!("{:016x}", self.sessions.hash_one(five_tuple))
    }
}
