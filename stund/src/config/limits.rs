//! `[limits]`: what a stranger may take.

use std::num::NonZeroUsize;
use std::time::Duration;

use causeway_daemon::config::Problem;
use causeway_daemon::config::values::Interval;
use serde::Deserialize;

/// The keys of `[limits]`, as written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsSchema {
    tcp_connections: NonZeroUsize,
    tcp_connections_per_prefix: NonZeroUsize,
    tcp_idle_timeout: Interval,
}

const fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("a default limit is at least 1")
}

impl Default for LimitsSchema {
    fn default() -> Self {
        LimitsSchema { tcp_connections: count(10_000), tcp_connections_per_prefix: count(1_000), tcp_idle_timeout: Interval::seconds(60) }
    }
}

/// What a stranger may take (H14). Every number is at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// TCP connections in all.
    pub(crate) tcp_connections: usize,
    /// TCP connections from one IPv4 address or one IPv6 /64.
    pub(crate) tcp_connections_per_prefix: usize,
    /// After so long without a whole message a TCP connection is closed.
    pub(crate) tcp_idle_timeout: Duration,
}

impl LimitsSchema {
    pub(super) fn resolve(self) -> Result<Limits, Vec<Problem>> {
        if self.tcp_idle_timeout.0 < Duration::from_secs(1) {
            let problem = Problem::new("limits.tcp_idle_timeout", "less than a second: no client could ask anything");
            return Err(vec![problem]);
        }
        Ok(Limits {
            tcp_connections: self.tcp_connections.get(),
            tcp_connections_per_prefix: self.tcp_connections_per_prefix.get(),
            tcp_idle_timeout: self.tcp_idle_timeout.0,
        })
    }
}
