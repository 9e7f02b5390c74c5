//! The limit of open files and its division (H53).
//!
//! All sockets that clients cause, relayed sockets and accepted connections, come out of one budget
//! ([`Descriptors`]). The rest is for the process itself: the descriptors that are open at start,
//! and a reserve for the admin listener, the store, certificates, DNS, logs and connections that
//! are accepted only to be refused. So clients cannot take the last descriptor, and health,
//! metrics, the store and reloads keep working.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use causeway_net::{Descriptors, count_open};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::admin;
use crate::metrics::{Family, Samples};

/// Descriptors of the control side besides those of the admin listener: connections to the store
/// and their successors, DNS, certificates.
const CONTROL: usize = 16;
/// Minimum of [`CONTROL`], where descriptors are scarce.
const MIN_CONTROL: usize = 8;
/// Minimum of admin connections, where descriptors are scarce.
const MIN_ADMIN: usize = 4;
/// Descriptors of each worker: its mailbox, and a connection that is accepted only to be refused.
const WORKER: usize = 2;
/// The share of the descriptors that connections may not take from relayed sockets: one in four.
const SHARE: usize = 4;
/// How long to wait between two checks for refused clients.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

const LIMIT: Family = Family::gauge("descriptors_limit", "Limit of open files (RLIMIT_NOFILE)");
const OPEN_NOW: Family =
    Family::gauge("descriptors_open", "Open descriptors; absent before Linux 6.2");
const OPEN: Family = Family::gauge(
    "descriptors_open_at_start",
    "Descriptors that were open at start, before the first client",
);
const RESERVE: Family = Family::gauge(
    "descriptors_reserved",
    "Descriptors reserved for admin, store, certificates and refusals",
);

/// The reserve where descriptors are not scarce.
const fn full_reserve(workers: usize) -> usize {
    admin::CONNECTIONS + CONTROL + WORKER * workers
}

/// Raises the soft limit of open files to the hard one, and returns the limit. If the system
/// refuses, logs that and keeps the soft limit.
pub fn raise_limit() -> u64 {
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(error) => {
            tracing::warn!(%error, "cannot read the limit of open files; assuming 1024");
            return 1_024;
        }
    };
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, hard, "cannot raise the limit of open files to the hard limit");
        return soft;
    }
    hard
}

/// The descriptors that a configuration allows clients to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Number of worker threads.
    pub workers: usize,
    /// Maximum number of relayed sockets: ports times addresses. `None`: the service has none.
    pub relayed: Option<usize>,
    /// `limits.tcp_connections`; 0 without a listener for TCP or TLS.
    pub connections: usize,
}

/// The division of the limit of open files.
#[derive(Clone, Debug)]
pub struct Plan {
    limit: u64,
    open: usize,
    reserve: usize,
    admin: usize,
    /// The budget of clients' sockets, shared by the [`Io`](causeway_net::Io) of all workers.
    pub budget: Arc<Descriptors>,
}

/// The error of a limit of open files that leaves nothing for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFew {
    limit: u64,
    open: usize,
    needed: usize,
}

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooFew { limit, open, needed } = self;
        write!(
            f,
            "the limit of open files is {limit}, of which {open} are open at start: none are left for clients; "
        )?;
        write!(
            f,
            "raise it to at least {needed} (ulimit -n {needed}, or LimitNOFILE={needed} in the systemd unit)"
        )
    }
}

impl std::error::Error for TooFew {}

impl From<TooFew> for io::Error {
    fn from(error: TooFew) -> Self {
        io::Error::other(error)
    }
}

impl Plan {
    /// Divides `limit` and logs the result. Call it when everything but the workers' mailboxes is
    /// open, and before sockets of clients are restored.
    ///
    /// # Errors
    /// Nothing is left for clients.
    pub fn new(limit: u64, wanted: &Wanted) -> Result<Self, TooFew> {
        let plan = Self::divide(limit, count_open(limit), wanted)?;
        plan.say(wanted);
        Ok(plan)
    }

    fn divide(limit: u64, open: usize, wanted: &Wanted) -> Result<Self, TooFew> {
        let left = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(open);
        let workers = WORKER * wanted.workers;
        let least = MIN_ADMIN + MIN_CONTROL + workers;
        if left <= least {
            // With twice the minimum, it serves more than one client.
            return Err(TooFew { limit, open, needed: open + 2 * least });
        }
        // Where descriptors are scarce, the reserve is half of them.
        let reserve = full_reserve(wanted.workers).min((left / 2).max(least));
        let admin = (reserve - MIN_CONTROL - workers).clamp(MIN_ADMIN, admin::CONNECTIONS);
        let room = left - reserve;
        let kept = if wanted.relayed.is_some() { room / SHARE } else { 0 };
        Ok(Self { limit, open, reserve, admin, budget: Descriptors::new(room, kept) })
    }

    fn say(&self, wanted: &Wanted) {
        let Plan { limit, open, reserve, .. } = self;
        let room = self.budget.room();
        tracing::info!(limit, open, reserve, room_for_clients = room, "open files");
        let wants = wanted.relayed.unwrap_or(0) + wanted.connections;
        if wants <= room {
            return;
        }
        let enough = open + full_reserve(wanted.workers) + wants;
        let remedy = format!(
            "ulimit -n {enough}, or LimitNOFILE={enough} in the systemd unit; or lower the keys"
        );
        match wanted.relayed {
            Some(relayed) => tracing::warn!(
                relay_ports_times_addresses = relayed,
                limits_tcp_connections = wanted.connections,
                room_for_clients = room,
                remedy,
                "relay.ports and limits.tcp_connections allow more sockets than the limit of open files; further allocations get a 508"
            ),
            None => tracing::warn!(
                limits_tcp_connections = wanted.connections,
                room_for_clients = room,
                remedy,
                "limits.tcp_connections is more than the limit of open files; further connections are reset"
            ),
        }
    }

    /// Maximum number of connections of the admin listener.
    pub fn admin_connections(&self) -> usize {
        self.admin
    }

    /// Adds the metrics of the limit and its parts to a scrape.
    pub fn source(&self) -> impl Fn(&mut Samples) + Send + Sync + use<> {
        let Plan { limit, open, reserve, .. } = *self;
        let budget = Arc::clone(&self.budget);
        move |samples| {
            samples.add(&LIMIT, &[], limit);
            // Since Linux 6.2 the directory's size is the number of descriptors; before, it was 0.
            if let Some(open) = std::fs::metadata("/proc/self/fd")
                .ok()
                .map(|folder| folder.len())
                .filter(|open| *open > 0)
            {
                samples.add(&OPEN_NOW, &[], open);
            }
            samples.add(&OPEN, &[], open as u64);
            samples.add(&RESERVE, &[], reserve as u64);
            samples.add_readings(budget.readings());
        }
    }

    /// Logs that clients are refused for lack of descriptors, at most one line every few seconds.
    /// Runs until it is dropped.
    pub async fn report_refusals(self) {
        let mut reported = 0;
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let refused = self.budget.refused();
            if refused > reported {
                let remedy = "raise the limit of open files (ulimit -n, LimitNOFILE=)";
                tracing::warn!(
                    refused = refused - reported,
                    limit = self.limit,
                    remedy,
                    "clients refused: no descriptor left"
                );
                reported = refused;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_net::Use;

    const RELAY: Wanted = Wanted { workers: 2, relayed: Some(16_384), connections: 10_000 };

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let limit = raise_limit();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!((soft, hard), (limit, limit));
    }

    #[test]
    fn h53_what_is_open_and_a_reserve_are_kept_from_clients() {
        for (limit, open, reserve, admin) in [
            (524_288, 24, 52, 32),
            (1_024, 24, 52, 32),
            (128, 24, 52, 32),
            (80, 24, 28, 16),
            (50, 24, 16, 4),
        ] {
            let plan = Plan::divide(limit, open, &RELAY).unwrap();
            assert_eq!((plan.reserve, plan.admin), (reserve, admin), "{limit}");
            assert_eq!(plan.budget.room(), usize::try_from(limit).unwrap() - open - reserve);
            assert!(plan.admin + MIN_CONTROL + WORKER * RELAY.workers <= plan.reserve, "{limit}");
        }
    }

    #[test]
    fn h53_connections_leave_a_quarter_for_relayed_sockets_where_there_are_some() {
        let connections = |wanted: &Wanted| {
            let plan = Plan::divide(80, 24, wanted).unwrap();
            let taken: Vec<_> = std::iter::from_fn(|| plan.budget.take(Use::Connection)).collect();
            (taken.len(), plan.budget.room())
        };
        assert_eq!(connections(&RELAY), (21, 28));
        assert_eq!(connections(&Wanted { relayed: None, ..RELAY }), (28, 28));
    }

    #[test]
    fn h53_a_limit_that_leaves_nothing_for_clients_is_refused_with_one_that_does() {
        let error = Plan::divide(40, 24, &RELAY).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("is 40, of which 24 are open") && text.contains("LimitNOFILE=56"),
            "{text}"
        );
        assert!(Plan::divide(56, 24, &RELAY).is_ok());
        assert!(Plan::divide(10, 24, &RELAY).is_err(), "more are open than the limit allows");
    }
}
