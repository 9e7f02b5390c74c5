//! The log lines of a worker.

use std::time::Duration;

use causeway_daemon::log::{self, AuthFailure, Refusal, RefusalReason, redacted};
use causeway_net::{LimitReached, Sample, proxy};
use causeway_relay::{AllocationId, Discard, Ended, FiveTuple, Respond, Transport};
use causeway_wire::{ErrorCode, Method};

use super::Worker;
use crate::capacity::Refused;
use crate::clients::connections::Connection;
use crate::ports::pool::PortCounts;

/// How long a reason for a 508 is not logged again.
const QUIET: Duration = Duration::from_secs(10);

impl Worker {
    pub(super) fn log_refusal(&self, respond: &Respond, code: ErrorCode) {
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
                let reason = if self.quota.take_refusal() {
                    RefusalReason::UserQuota
                } else {
                    RefusalReason::PrefixQuota
                };
                log::refusal(&Refusal::new(client, respond.to.server, reason));
            }
            None => {
                let method = respond.method;
                tracing::debug!(
                    session = %self.session(&respond.to), client = %redacted(client), ?method, %code,
                    "request refused"
                );
            }
        }
    }

    /// Logs a discard that an operator may have to act on.
    pub(super) fn log_discarded(
        &mut self,
        now: Sample,
        from: &FiveTuple,
        discard: Discard,
        message: &[u8],
    ) {
        match discard {
            // The text form of a PROXY header looks like ChannelData.
            Discard::NotStun
            | Discard::Malformed
            | Discard::ReservedChannel
            | Discard::NoAllocation
                if proxy::is_header(message) =>
            {
                log::refusal(&Refusal::new(
                    from.client,
                    from.server,
                    RefusalReason::ProxyUntrusted,
                ));
            }
            Discard::RateLimited => {
                self.limited_answers.tell(now.monotonic, from.client, from.server);
            }
            _ => {}
        }
    }

    pub(super) fn log_allocated(
        &mut self,
        now: Sample,
        respond: &Respond,
        allocation: AllocationId,
    ) {
        let relayed = self.server.relayed(allocation);
        let Some(first) = relayed.first() else { return };
        self.counters.allocated(respond.to.transport, first.is_ipv4());
        self.account_start(now, allocation);
    }

    pub(super) fn log_ended(&mut self, now: Sample, ended: &Ended) {
        self.account_end(now, ended);
        self.counters.ended(
            ended.client.transport,
            ended.relayed.first().map(|address| address.is_ipv4()),
            ended.reason,
        );
        if ended.client.transport != Transport::Udp {
            self.connections.watch(now.monotonic, &ended.client);
        }
    }

    /// Logs why an Allocate is answered 508: each reason at most once in ten seconds, because
    /// clients can ask for ports at any rate.
    pub(super) fn log_unbound(&mut self, now: Sample, ipv4: bool, refused: Refused) {
        if refused == Refused::Reservation {
            return tracing::debug!(
                "Allocate answered 508: the token is unknown, or no more ports may be reserved"
            );
        }
        let Some(more) = self.logged_reasons.admit(now.monotonic, refused) else { return };
        let (cause, family) = (refused.name(), if ipv4 { "IPv4" } else { "IPv6" });
        let (address, error) = self
            .searches
            .failed
            .as_ref()
            .map(|(address, error)| (address.ip(), error.to_string()))
            .unzip();
        let (address, error) =
            (address.map(tracing::field::display), error.map(tracing::field::display));
        match refused {
            Refused::Port => {
                let PortCounts { all, held_elsewhere, .. } = self.pools.counts(ipv4);
                let remedy = "add ports to relay.ports, or an address to relay.addresses";
                tracing::warn!(
                    cause,
                    family,
                    ports = all,
                    held_elsewhere,
                    remedy,
                    more,
                    "Allocate answered 508: no relayed port is free"
                );
            }
            Refused::Descriptor => {
                let remedy = "raise the limit of open files (LimitNOFILE=, ulimit -n)";
                tracing::warn!(
                    cause,
                    remedy,
                    more,
                    "Allocate answered 508: no descriptor is left for a relayed socket"
                );
            }
            Refused::Memory => {
                tracing::warn!(
                    cause,
                    error,
                    more,
                    "Allocate answered 508: the kernel has no memory for a relayed socket"
                );
            }
            Refused::Address => {
                let remedy = "give this host the address again, or set net.freebind = true";
                tracing::warn!(
                    cause,
                    address,
                    error,
                    remedy,
                    more,
                    "Allocate answered 508: a relay address cannot be bound"
                );
            }
            Refused::Maximum => {
                let remedy = "set net.workers higher";
                tracing::warn!(
                    cause,
                    remedy,
                    more,
                    "Allocate answered 508: this worker has its maximum of allocations"
                );
            }
            Refused::Reservation => {}
        }
    }

    /// The session id that all log lines of a client carry.
    pub(super) fn session(&self, five_tuple: &FiveTuple) -> String {
        format!("{:016x}", self.sessions.hash_one(five_tuple))
    }
}

/// Logs a connection that a maximum refuses.
pub(super) fn log_refused_connection(
    client: &FiveTuple,
    connection: Connection,
    full: LimitReached,
) {
    let reason = match connection {
        Connection::Stream(_) => RefusalReason::of_stream(full),
        Connection::Association(_) => RefusalReason::of_association(full),
    };
    log::refusal(&Refusal::new(client.client, client.server, reason));
}

/// When each reason for a 508 was last logged.
#[derive(Default)]
pub(crate) struct LoggedReasons {
    /// By reason: the end of its quiet time, in monotonic time, and how often it was passed over
    /// since.
    reasons: [(Duration, u64); Refused::ALL.len()],
}

impl LoggedReasons {
    /// How often this reason was passed over since it was last logged; `None` when it is too early
    /// to log it again.
    fn admit(&mut self, now: Duration, refused: Refused) -> Option<u64> {
        let (quiet_until, passed_over) = &mut self.reasons[refused as usize];
        if now < *quiet_until {
            *passed_over += 1;
            return None;
        }
        *quiet_until = now + QUIET;
        Some(std::mem::take(passed_over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h57_a_reason_is_logged_once_in_ten_seconds_and_hides_no_other() {
        let mut logged = LoggedReasons::default();
        let second = Duration::from_secs;
        assert_eq!(logged.admit(second(1), Refused::Port), Some(0));
        assert!((0..1000).all(|_| logged.admit(second(10), Refused::Port).is_none()));
        assert_eq!(logged.admit(second(10), Refused::Address), Some(0));
        assert_eq!(logged.admit(second(11), Refused::Port), Some(1000));
        assert_eq!(logged.admit(second(21), Refused::Port), Some(0));
    }
}
