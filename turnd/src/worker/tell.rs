//! The worker's lines in the log.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_daemon::log::{self, AuthFailure, Refusal, RefusalReason, redacted};
use causeway_net::{Full, Sample, proxy};
use causeway_relay::{AllocationId, Discard, Ended, FiveTuple, Respond, Transport};
use causeway_wire::{ErrorCode, Method};

use super::Worker;
use crate::connections::Connection;

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
            None if code == ErrorCode::ALLOCATION_QUOTA_REACHED => {
                let reason = if self.quota.take_refusal() { RefusalReason::UserQuota } else { RefusalReason::PrefixQuota };
                log::refusal(&Refusal::new(client, respond.to.server, reason));
            }
            None => {
                let method = respond.method;
                tracing::debug!(session = %self.session(&respond.to), client = %redacted(client), ?method, %code, "request refused");
            }
        }
    }

    /// What was discarded for a reason that an operator may have to act on.
    pub(super) fn tell_discarded(&mut self, now: Sample, from: &FiveTuple, discard: Discard, message: &[u8]) {
        let reason = match discard {
            // The text form looks like ChannelData.
            Discard::NotStun | Discard::Malformed | Discard::ReservedChannel | Discard::NoAllocation if proxy::is_header(message) => {
                RefusalReason::ProxyUntrusted
            }
            // Once a second at the most: a flood of forged requests costs no look-ups.
            Discard::RateLimited if now.monotonic >= self.limited_silent_until => {
                self.limited_silent_until = now.monotonic + Duration::from_secs(1);
                RefusalReason::AnswersLimited
            }
            _ => return,
        };
        log::refusal(&Refusal::new(from.client, from.server, reason));
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

/// A cap on connections refuses one.
pub(super) fn no_place(client: &FiveTuple, connection: Connection, full: Full) {
    let reason = match (connection, full) {
        (Connection::Stream(_), Full::All) => RefusalReason::Connections,
        (Connection::Stream(_), Full::Prefix) => RefusalReason::ConnectionsOfPrefix,
        (Connection::Association(_), Full::All) => RefusalReason::Associations,
        (Connection::Association(_), Full::Prefix) => RefusalReason::AssociationsOfPrefix,
    };
    log::refusal(&Refusal::new(client.client, client.server, reason));
}
