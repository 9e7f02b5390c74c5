//! The counters of a worker, and the metrics that they are read as.

use std::sync::Arc;

use causeway_auth::Refusal;
use causeway_daemon::metrics::{Family, Samples, Unit};
use causeway_daemon::service::ConnectionCaps;
use causeway_net::{Count, Stats};
use causeway_relay::{Discard, EndReason, Gauges, Transport};
use causeway_wire::ErrorCode;

use crate::capacity::Refused;
use crate::clients::quota::Tally;
use crate::ports::pool::PortPools;
use crate::ports::reservations::Reservations;

const TRANSPORTS: [Transport; 4] =
    [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls];
/// The error codes of responses. A test and a debug assertion notice one that is missing.
const CODES: [ErrorCode; 13] = [
    ErrorCode::TRY_ALTERNATE,
    ErrorCode::BAD_REQUEST,
    ErrorCode::UNAUTHENTICATED,
    ErrorCode::FORBIDDEN,
    ErrorCode::UNKNOWN_ATTRIBUTE,
    ErrorCode::ALLOCATION_MISMATCH,
    ErrorCode::STALE_NONCE,
    ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED,
    ErrorCode::WRONG_CREDENTIALS,
    ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL,
    ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH,
    ErrorCode::ALLOCATION_QUOTA_REACHED,
    ErrorCode::INSUFFICIENT_CAPACITY,
];

/// Declares [`Counters`]: first the fields that labels tell apart or that are no metric, then those
/// without labels, one line each: field, kind, name and help of the metric.
macro_rules! counters {
    (
        $(#[$attribute:meta])*
        pub(crate) struct $struct:ident {
            $($(#[$doc:meta])* $visibility:vis $field:ident: $type:ty,)*
        }
        $($plain_visibility:vis $plain:ident = $kind:ident($name:literal, $help:literal),)*
    ) => {
        $(#[$attribute])*
        pub(crate) struct $struct {
            $($(#[$doc])* $visibility $field: $type,)*
            $(#[doc = $help] $plain_visibility $plain: Count,)*
        }

        impl $struct {
            /// Adds the metrics without labels.
            fn collect_plain(&self, samples: &mut Samples) {
                $(samples.add(&const { Family::$kind($name, $help) }, &[], self.$plain.value());)*
            }
        }
    };
}

counters! {
    /// The counters of one worker beside those of its event loop. The worker writes them; scrapes
    /// read them.
    #[derive(Default)]
    #[repr(align(128))]
    pub(crate) struct Counters {
        /// Datagrams to peers, by transport of the client.
        pub(crate) to_peer: [Relayed; TRANSPORTS.len()],
        /// Datagrams to clients, by transport of the client.
        pub(crate) to_client: [Relayed; TRANSPORTS.len()],
        /// Live allocations, by transport and family.
        allocations: [[Count; 2]; TRANSPORTS.len()],
        created: [[Count; 2]; TRANSPORTS.len()],
        ended: [Count; EndReason::ALL.len()],
        errors: [Count; CODES.len()],
        /// Allocate requests that were answered 508, by cause.
        refused: [Count; Refused::ALL.len()],
        discards: [Count; Discard::ALL.len()],
        /// Datagrams between two relayed addresses of this process, from clients of this worker.
        pub(crate) within: Count,
        /// Datagrams between two relayed addresses of this process, from another worker.
        pub(crate) across: Count,
        auth_failures: [Count; Refusal::FAILURES.len()],
        /// Changes that wait for the store.
        pub(crate) unwritten: Count,
        /// Allocations restored while the worker was running.
        pub(crate) restored_late: Count,
        /// Allocations not restored because their port, 5-tuple or quota was taken by then.
        pub(crate) not_restored_late: Count,
    }

    pub(crate) crossing_lost = counter(
        "crossing_lost",
        "Datagrams to clients of another worker that had no room on their way to it"
    ),
    pub(crate) responses = counter("stun_responses", "Responses, errors included"),
    permissions = gauge("permissions", "Permissions of all allocations"),
    channels = gauge("channels", "Channels of all allocations"),
    prefixes = gauge("allocation_prefixes", "Source prefixes that hold an allocation"),
    parked = gauge("requests_parked", "Requests that wait for a user's key"),
    keys = gauge("keys_remembered", "Users of the store, and unknown names, that workers remember"),
}

/// Relayed datagrams, and the bytes of their application data.
#[derive(Default)]
pub(crate) struct Relayed {
    packets: Count,
    bytes: Count,
}

impl Relayed {
    pub(crate) fn add(&self, bytes: usize) {
        self.packets.add(1);
        self.bytes.add(bytes as u64);
    }
}

/// The index of a transport in an array of counters.
pub(crate) fn index(transport: Transport) -> usize {
    transport as usize
}

impl Counters {
    pub(crate) fn allocated(&self, transport: Transport, ipv4: bool) {
        self.created[index(transport)][usize::from(ipv4)].add(1);
        let live = &self.allocations[index(transport)][usize::from(ipv4)];
        live.set(live.value() + 1);
    }

    /// Counts the end of an allocation. `ipv4` is `None` for one that was never created.
    pub(crate) fn ended(&self, transport: Transport, ipv4: Option<bool>, reason: EndReason) {
        self.ended[reason as usize].add(1);
        if let Some(ipv4) = ipv4 {
            let live = &self.allocations[index(transport)][usize::from(ipv4)];
            live.set(live.value().saturating_sub(1));
        }
    }

    /// Number of live allocations.
    pub(crate) fn live(&self) -> u64 {
        self.allocations.iter().flatten().map(Count::value).sum()
    }

    pub(crate) fn error(&self, code: ErrorCode) {
        let at = CODES.iter().position(|listed| *listed == code);
        debug_assert!(at.is_some(), "{code:?} is missing in `CODES`");
        if let Some(at) = at {
            self.errors[at].add(1);
        }
    }

    /// Counts a refusal if it means that credentials were wrong.
    pub(crate) fn auth_failed(&self, refusal: Refusal) {
        if let Some(at) = Refusal::FAILURES.iter().position(|failure| *failure == refusal) {
            self.auth_failures[at].add(1);
        }
    }

    pub(crate) fn discarded(&self, discard: Discard) {
        self.discards[discard as usize].add(1);
    }

    pub(crate) fn refused(&self, cause: Refused) {
        self.refused[cause as usize].add(1);
    }

    /// Updates the gauges.
    pub(crate) fn fill(&self, gauges: &Gauges) {
        self.permissions.set(gauges.permissions as u64);
        self.channels.set(gauges.channels as u64);
        self.prefixes.set(gauges.prefixes as u64);
        self.parked.set(gauges.parked as u64);
        self.keys.set(gauges.keys as u64);
    }

    fn collect(&self, samples: &mut Samples) {
        for transport in TRANSPORTS {
            let (at, name) = (index(transport), transport.name());
            for (direction, relayed) in
                [("to_peer", &self.to_peer[at]), ("to_client", &self.to_client[at])]
            {
                let labels = [("direction", direction.into()), ("transport", name.into())];
                samples.add(&RELAYED_PACKETS, &labels, relayed.packets.value());
                samples.add(&RELAYED, &labels, relayed.bytes.value());
            }
            for (family, ipv4) in [("ipv4", 1), ("ipv6", 0)] {
                let labels = [("transport", name.into()), ("family", family.into())];
                samples.add(&ALLOCATIONS, &labels, self.allocations[at][ipv4].value());
                samples.add(&CREATED, &labels, self.created[at][ipv4].value());
            }
        }
        for (reason, count) in EndReason::ALL.iter().zip(&self.ended) {
            samples.add(&ENDED, &[("reason", reason.name().into())], count.value());
        }
        for (code, count) in CODES.iter().zip(&self.errors) {
            samples.add(&ERRORS, &[("code", code.number().into())], count.value());
        }
        for (refused, count) in Refused::ALL.iter().zip(&self.refused) {
            samples.add(&REFUSED, &[("cause", refused.name().into())], count.value());
        }
        for (discard, count) in Discard::ALL.iter().zip(&self.discards) {
            samples.add(&DISCARDED, &[("cause", discard.name().into())], count.value());
        }
        for (way, count) in [("same_worker", &self.within), ("other_worker", &self.across)] {
            samples.add(&IN_MEMORY, &[("from", way.into())], count.value());
        }
        for (refusal, count) in Refusal::FAILURES.iter().zip(&self.auth_failures) {
            samples.add(&AUTH_FAILURES, &[("reason", refusal.reason().into())], count.value());
        }
        self.collect_plain(samples);
    }
}

const RELAYED_PACKETS: Family = Family::counter("relayed_packets", "Datagrams relayed");
const RELAYED: Family = Family::counter("relayed", "Application data relayed").unit(Unit::Bytes);
const IN_MEMORY: Family = Family::counter(
    "relayed_in_memory",
    "Datagrams from one relayed address of this server to another, past the kernel",
);
const ALLOCATIONS: Family = Family::gauge("allocations", "Live allocations");
const CREATED: Family = Family::counter("allocations_created", "Allocations created");
const REFUSED: Family =
    Family::counter("allocations_refused", "Allocate requests answered 508, by what was missing");
const ENDED: Family = Family::counter("allocations_ended", "Allocations ended");
const ERRORS: Family = Family::counter("stun_errors", "Error responses");
const DISCARDED: Family = Family::counter(
    "discarded",
    "Messages and datagrams that the server discarded as the protocol requires",
);
const AUTH_FAILURES: Family =
    Family::counter("auth_failures", "Requests whose credentials were wrong, by reason");
const FREE_PORTS: Family = Family::gauge("relay_ports_free", "Relayed ports that are free");
const HELD_PORTS: Family = Family::gauge(
    "relay_ports_held_elsewhere",
    "Relayed ports that other programs were found to use in the last seconds",
);
const RESERVED_PORTS: Family =
    Family::gauge("relay_ports_reserved", "Relayed ports reserved for the holder of a token");
const USERS: Family = Family::gauge("users", "Users that hold an allocation");
const CONNECTION_PREFIXES: Family =
    Family::gauge("connection_prefixes", "Source prefixes that hold a connection");

/// The metrics source of one worker.
pub(crate) fn worker_source(
    counters: Arc<Counters>,
    stats: Arc<Stats>,
) -> impl Fn(&mut Samples) + Send + Sync {
    move |samples| {
        counters.collect(samples);
        samples.add_loop(&stats);
    }
}

/// The metrics source of what all workers share.
pub(crate) fn shared_source(
    pools: Arc<PortPools>,
    reservations: Arc<Reservations>,
    users: Arc<Tally>,
    connections: ConnectionCaps,
) -> impl Fn(&mut Samples) + Send + Sync {
    move |samples| {
        for pool in pools.iter() {
            let family = if pool.address().bound.is_ipv4() { "ipv4" } else { "ipv6" };
            samples.add(&FREE_PORTS, &[("family", family.into())], pool.free() as u64);
            samples.add(&HELD_PORTS, &[("family", family.into())], pool.held_elsewhere() as u64);
        }
        samples.add(&RESERVED_PORTS, &[], reservations.len() as u64);
        samples.add(&USERS, &[], users.len() as u64);
        for (kind, prefixes) in connections.prefixes() {
            samples.add(&CONNECTION_PREFIXES, &[("kind", kind.into())], prefixes as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes that `wire` names and that this server never sends.
    const NOT_SENT: [ErrorCode; 9] = [
        ErrorCode::MOBILITY_FORBIDDEN,
        ErrorCode::STALE_CREDENTIALS,
        ErrorCode::MISSING_USERNAME,
        ErrorCode::USE_TLS,
        ErrorCode::CONNECTION_ALREADY_EXISTS,
        ErrorCode::CONNECTION_TIMEOUT_OR_FAILURE,
        ErrorCode::ROLE_CONFLICT,
        ErrorCode::SERVER_ERROR,
        ErrorCode::GLOBAL_FAILURE,
    ];

    #[test]
    fn each_error_code_that_has_a_name_is_counted_or_never_sent() {
        for code in (300..=699).filter_map(ErrorCode::new).filter(|code| !code.reason().is_empty())
        {
            assert_ne!(CODES.contains(&code), NOT_SENT.contains(&code), "{code:?}");
        }
    }
}
