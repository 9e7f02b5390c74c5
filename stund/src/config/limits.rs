//! `[limits]`: what a stranger may take.

use std::num::NonZeroUsize;
use std::time::Duration;

use causeway_daemon::config::values::Interval;
use causeway_daemon::config::{Problem, Unauthenticated};
use causeway_daemon::service::ConnectionLimits;
use serde::Deserialize;

/// The keys of `[limits]`, as written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsSchema {
    tcp_connections: NonZeroUsize,
    tcp_connections_per_prefix: NonZeroUsize,
    tcp_idle_timeout: Interval,
    dtls_associations: NonZeroUsize,
    dtls_associations_per_prefix: NonZeroUsize,
    half_open_handshakes: NonZeroUsize,
    half_open_handshakes_per_prefix: NonZeroUsize,
    unauthenticated_per_prefix: Unauthenticated,
}

const fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("a default limit is at least 1")
}

impl Default for LimitsSchema {
    fn default() -> Self {
        LimitsSchema {
            tcp_connections: count(10_000),
            tcp_connections_per_prefix: count(1_000),
            tcp_idle_timeout: Interval::seconds(60),
            dtls_associations: count(10_000),
            dtls_associations_per_prefix: count(1_000),
            half_open_handshakes: count(2_000),
            half_open_handshakes_per_prefix: count(200),
            unauthenticated_per_prefix: Unauthenticated::default(),
        }
    }
}

/// The limits on clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The limits on connections and handshakes (H11, H13, H14).
    pub(crate) connections: ConnectionLimits,
    /// How long a TCP connection or a DTLS association stays open without a whole message (H14).
    pub(crate) tcp_idle_timeout: Duration,
}

impl LimitsSchema {
    pub(super) fn resolve(self) -> Result<Limits, Vec<Problem>> {
        let mut problems = Vec::new();
        if self.tcp_idle_timeout.0 < Duration::from_secs(1) {
            problems.push(Problem::new(
                "limits.tcp_idle_timeout",
                "less than a second: no client could ask anything",
            ));
        }
        let limiter =
            self.unauthenticated_per_prefix.settings().map_err(|problem| problems.push(problem));
        match limiter {
            Ok(unauthenticated_per_prefix) if problems.is_empty() => Ok(Limits {
                connections: ConnectionLimits {
                    tcp_connections: self.tcp_connections.get(),
                    tcp_connections_per_prefix: self.tcp_connections_per_prefix.get(),
                    dtls_associations: self.dtls_associations.get(),
                    dtls_associations_per_prefix: self.dtls_associations_per_prefix.get(),
                    half_open_handshakes: self.half_open_handshakes.get(),
                    half_open_handshakes_per_prefix: self.half_open_handshakes_per_prefix.get(),
                    unauthenticated_per_prefix,
                },
                tcp_idle_timeout: self.tcp_idle_timeout.0,
            }),
            _ => Err(problems),
        }
    }
}
