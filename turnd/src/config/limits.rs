//! `[limits]`: how much of everything a client may have.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use causeway_daemon::config::values::Interval;
use causeway_daemon::config::{Problem, Unauthenticated};
use causeway_daemon::service::ConnectionLimits;
use serde::Deserialize;

/// A LIFETIME is 32 bits of seconds, but more than a day is a slip of the pen.
const LONGEST_LIFETIME: Duration = Duration::from_secs(86_400);

/// The keys of `[limits]`, as written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsSchema {
    allocations_per_user: NonZeroUsize,
    allocations_per_prefix: NonZeroU32,
    default_lifetime: Interval,
    max_lifetime: Interval,
    permissions_per_allocation: NonZeroUsize,
    channels_per_allocation: NonZeroUsize,
    tcp_connections: NonZeroUsize,
    tcp_connections_per_prefix: NonZeroUsize,
    tcp_unauthenticated_timeout: Interval,
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
            allocations_per_user: count(20),
            allocations_per_prefix: NonZeroU32::new(1_000).expect("a default limit is at least 1"),
            default_lifetime: Interval::seconds(600),
            max_lifetime: Interval::seconds(3_600),
            permissions_per_allocation: count(128),
            channels_per_allocation: count(128),
            tcp_connections: count(10_000),
            tcp_connections_per_prefix: count(1_000),
            tcp_unauthenticated_timeout: Interval::seconds(15),
            dtls_associations: count(10_000),
            dtls_associations_per_prefix: count(1_000),
            half_open_handshakes: count(2_000),
            half_open_handshakes_per_prefix: count(200),
            unauthenticated_per_prefix: Unauthenticated::default(),
        }
    }
}

/// How much a client may have. Every number is at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Allocations that one user has at a time, over all workers.
    pub(crate) allocations_per_user: usize,
    /// Allocations from one IPv4 address or one IPv6 /64, at each worker (H33).
    pub(crate) allocations_per_prefix: u32,
    /// The lifetime of an allocation whose client asks for less, or for none.
    pub(crate) default_lifetime: Duration,
    /// The longest lifetime that is granted.
    pub(crate) max_lifetime: Duration,
    /// Permissions that one allocation has at a time (H33).
    pub(crate) permissions_per_allocation: usize,
    /// Channels that one allocation has at a time (H33).
    pub(crate) channels_per_allocation: usize,
    /// The limits on connections and handshakes (H11, H13, H14).
    pub(crate) connections: ConnectionLimits,
    /// After so long a connection, or a DTLS association, that has not authenticated is closed
    /// (H14).
    pub(crate) tcp_unauthenticated_timeout: Duration,
}

impl LimitsSchema {
    pub(super) fn resolve(self) -> Result<Limits, Vec<Problem>> {
        let mut problems = Vec::new();
        if self.max_lifetime.0 > LONGEST_LIFETIME {
            problems.push(
                Problem::new("limits.max_lifetime", "more than a day")
                    .hint("RFC 8656 recommends an hour at most"),
            );
        }
        if self.default_lifetime.0 < Duration::from_secs(60) {
            problems.push(Problem::new(
                "limits.default_lifetime",
                "less than a minute: clients would refresh all the time",
            ));
        }
        if self.default_lifetime > self.max_lifetime {
            let what = format!(
                "{} is more than limits.max_lifetime ({})",
                self.default_lifetime, self.max_lifetime
            );
            problems.push(Problem::new("limits.default_lifetime", what));
        }
        if self.tcp_unauthenticated_timeout.0 < Duration::from_secs(1) {
            let what = "less than a second: no client could log in";
            problems.push(Problem::new("limits.tcp_unauthenticated_timeout", what));
        }
        let unauthenticated_per_prefix =
            self.unauthenticated_per_prefix.settings().unwrap_or_else(|problem| {
                problems.push(problem);
                None
            });
        let limits = Limits {
            allocations_per_user: self.allocations_per_user.get(),
            allocations_per_prefix: self.allocations_per_prefix.get(),
            default_lifetime: self.default_lifetime.0,
            max_lifetime: self.max_lifetime.0,
            permissions_per_allocation: self.permissions_per_allocation.get(),
            channels_per_allocation: self.channels_per_allocation.get(),
            connections: ConnectionLimits {
                tcp_connections: self.tcp_connections.get(),
                tcp_connections_per_prefix: self.tcp_connections_per_prefix.get(),
                dtls_associations: self.dtls_associations.get(),
                dtls_associations_per_prefix: self.dtls_associations_per_prefix.get(),
                half_open_handshakes: self.half_open_handshakes.get(),
                half_open_handshakes_per_prefix: self.half_open_handshakes_per_prefix.get(),
                unauthenticated_per_prefix,
            },
            tcp_unauthenticated_timeout: self.tcp_unauthenticated_timeout.0,
        };
        if problems.is_empty() { Ok(limits) } else { Err(problems) }
    }
}
