//! `[limits]`: what a stranger may take.

use std::num::NonZeroUsize;
use std::time::Duration;

use causeway_auth::LimiterSettings;
use causeway_daemon::config::values::Interval;
use causeway_daemon::config::{Problem, Unauthenticated};
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

/// What a stranger may take (H11, H13, H14). Every number but the limiter's is at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// TCP connections in all.
    pub(crate) tcp_connections: usize,
    /// TCP connections from one IPv4 address or one IPv6 /64.
    pub(crate) tcp_connections_per_prefix: usize,
    /// After so long without a whole message a TCP connection, or a DTLS association, is closed.
    pub(crate) tcp_idle_timeout: Duration,
    /// DTLS associations, in all.
    pub(crate) dtls_associations: usize,
    /// DTLS associations from one IPv4 address or one IPv6 /64.
    pub(crate) dtls_associations_per_prefix: usize,
    /// TLS and DTLS handshakes that are under way, in all.
    pub(crate) half_open_handshakes: usize,
    /// The same from one IPv4 address or one IPv6 /64.
    pub(crate) half_open_handshakes_per_prefix: usize,
    /// What is answered to datagrams, whose addresses may be forged; `None` is without limit
    /// (H11).
    pub(crate) unauthenticated_per_prefix: Option<LimiterSettings>,
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
                tcp_connections: self.tcp_connections.get(),
                tcp_connections_per_prefix: self.tcp_connections_per_prefix.get(),
                tcp_idle_timeout: self.tcp_idle_timeout.0,
                dtls_associations: self.dtls_associations.get(),
                dtls_associations_per_prefix: self.dtls_associations_per_prefix.get(),
                half_open_handshakes: self.half_open_handshakes.get(),
                half_open_handshakes_per_prefix: self.half_open_handshakes_per_prefix.get(),
                unauthenticated_per_prefix,
            }),
            _ => Err(problems),
        }
    }
}
