//! `[limits]`: the limits on clients.
//!
//! A new key is a field of one of these structs and a line of `default.toml`, where its default is.

use std::time::Duration;

use causeway_daemon::config::values::{count, duration};
use causeway_daemon::config::{Joined, Problem};
use causeway_daemon::service::ConnectionLimits;
use serde::Deserialize;

/// Maximum of `limits.max_lifetime`. A LIFETIME has 32 bits of seconds, but more than a day is a
/// typing mistake.
const MAX_LIFETIME: Duration = Duration::from_secs(86_400);

/// The keys of `[limits]`, by the part of the server that enforces them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Joined<ConnectionLimits, Joined<RelayLimits, ClientLimits>>")]
pub(crate) struct Limits {
    /// Connections and handshakes, as in every server (H11, H13, H14).
    pub(crate) connections: ConnectionLimits,
    /// Allocations and their parts (H33).
    pub(crate) relay: causeway_relay::Limits,
    /// Users, and clients that have not logged in.
    pub(crate) clients: ClientLimits,
}

/// The limits that only `turnd` itself enforces.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientLimits {
    /// Maximum number of allocations of one user, over all workers.
    #[serde(deserialize_with = "count")]
    pub(crate) allocations_per_user: usize,
    /// How long a connection or a DTLS association may stay open without authentication (H14).
    #[serde(deserialize_with = "duration")]
    pub(crate) tcp_unauthenticated_timeout: Duration,
}

/// The limits that the relay enforces, as keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RelayLimits(#[serde(with = "RelayKeys")] causeway_relay::Limits);

#[derive(Deserialize)]
#[serde(remote = "causeway_relay::Limits", deny_unknown_fields)]
struct RelayKeys {
    #[serde(deserialize_with = "duration")]
    default_lifetime: Duration,
    #[serde(deserialize_with = "duration")]
    max_lifetime: Duration,
    #[serde(deserialize_with = "count")]
    permissions_per_allocation: usize,
    #[serde(deserialize_with = "count")]
    channels_per_allocation: usize,
    #[serde(deserialize_with = "count")]
    allocations_per_prefix: u32,
    /// No key: the ports bound it first.
    #[serde(skip, default = "allocations_per_worker")]
    allocations: usize,
}

/// Maximum number of allocations of one worker.
fn allocations_per_worker() -> usize {
    65_536
}

impl From<Joined<ConnectionLimits, Joined<RelayLimits, ClientLimits>>> for Limits {
    fn from(keys: Joined<ConnectionLimits, Joined<RelayLimits, ClientLimits>>) -> Self {
        let Joined(connections, Joined(RelayLimits(relay), clients)) = keys;
        Limits { connections, relay, clients }
    }
}

impl Limits {
    /// Checks the ranges of the keys, and the keys that contradict each other.
    pub(super) fn check(&self) -> Vec<Problem> {
        let mut problems = self.connections.check();
        let mut problem = |key: &str, what: String, hint: &str| {
            problems.push(Problem::new(format!("limits.{key}"), what).hint(hint));
        };
        let causeway_relay::Limits { default_lifetime, max_lifetime, .. } = self.relay;
        if max_lifetime > MAX_LIFETIME {
            let what = format!("{max_lifetime:?} is too long; the maximum is {MAX_LIFETIME:?}");
            problem("max_lifetime", what, "RFC 8656 recommends at most 1h");
        }
        if default_lifetime < Duration::from_secs(60) {
            let what = format!("{default_lifetime:?} is too short; the minimum is 60s");
            problem("default_lifetime", what, "clients would refresh all the time");
        }
        if default_lifetime > max_lifetime {
            let what =
                format!("{default_lifetime:?} is more than limits.max_lifetime ({max_lifetime:?})");
            problem("default_lifetime", what, "lower it, or raise limits.max_lifetime");
        }
        let timeout = self.clients.tcp_unauthenticated_timeout;
        if timeout < Duration::from_secs(1) {
            let what = format!("{timeout:?} is too short; the minimum is 1s");
            problem("tcp_unauthenticated_timeout", what, "no client could log in");
        }
        problems
    }
}
