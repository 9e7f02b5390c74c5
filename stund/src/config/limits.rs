//! `[limits]`: the limits on clients.
//!
//! A new key is a field of one of these structs and a line of `default.toml`, where its default is.

use std::time::Duration;

use causeway_daemon::config::values::duration;
use causeway_daemon::config::{Joined, Problem};
use causeway_daemon::service::ConnectionLimits;
use serde::Deserialize;

/// The keys of `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Joined<ConnectionLimits, ClientLimits>")]
pub(crate) struct Limits {
    /// Connections and handshakes, as in every server (H11, H13, H14).
    pub(crate) connections: ConnectionLimits,
    /// How long a TCP connection or a DTLS association stays open without a whole message (H14).
    pub(crate) tcp_idle_timeout: Duration,
}

/// The limits that only `stund` has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientLimits {
    #[serde(deserialize_with = "duration")]
    tcp_idle_timeout: Duration,
}

impl From<Joined<ConnectionLimits, ClientLimits>> for Limits {
    fn from(Joined(connections, clients): Joined<ConnectionLimits, ClientLimits>) -> Self {
        Limits { connections, tcp_idle_timeout: clients.tcp_idle_timeout }
    }
}

impl Limits {
    /// Checks the ranges of the keys.
    pub(super) fn check(&self) -> Vec<Problem> {
        let mut problems = self.connections.check();
        let timeout = self.tcp_idle_timeout;
        if timeout < Duration::from_secs(1) {
            let what = format!("{timeout:?} is too short; the minimum is 1s");
            problems.push(Problem::new("limits.tcp_idle_timeout", what));
        }
        problems
    }
}
