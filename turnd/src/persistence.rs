//! What outlives the process: claimed and restored at the start, written while it runs.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use causeway_daemon::metrics::{Family, Samples, Unit};
use causeway_net::mailbox::Sender;
use causeway_net::steering;
use causeway_relay::AllocationRecord;
use causeway_store::{
    Accounting, Directory, ErrorKind, NodeLock, NodeReport, Outcome, Record, Redis, Sealer, State, Status, Transport, Writer,
    WriterSettings,
};
use tokio::runtime::Runtime;

use crate::config::Store;
use crate::counters::Counters;
use crate::directory::{Letter, WorkerSource};
use crate::inbox::{Inbox, Outbox, inbox};
use crate::journal::Journal;
use crate::records::from_store;
use crate::worker::Mail;

/// Restoring waits for the store for so long, and then the server opens without.
const PATIENCE: Duration = Duration::from_secs(3);
/// At the end, so long is left for writing what is not written.
const LAST: Duration = Duration::from_secs(2);
/// Accounts that wait while the store is away, in number and in bytes.
const SPOOL: (usize, usize) = (100_000, 32 << 20);

/// The store of a node that this process holds.
pub(crate) struct Persistence {
    /// Let go when the process ends.
    lock: NodeLock,
    redis: Redis,
    inbox: Inbox<Letter>,
    outbox: Outbox<Letter>,
    records: Vec<AllocationRecord>,
    counts: Restoration,
}

/// How restoring went, for the log and the metrics.
#[derive(Clone, Default)]
struct Restoration {
    restored: u64,
    lost: BTreeMap<&'static str, u64>,
}

impl Persistence {
    /// Holds the node's name, and reads what the process before this one left.
    ///
    /// # Errors
    /// Another server on this host has the name, or the URL cannot be used. A store that is not there is no error.
    pub(crate) fn claim(store: &Store, workers: usize, runtime: &Runtime) -> Result<Self> {
        let lock = NodeLock::acquire(&store.lock_directory, &store.node).context("store.node_id")?;
        let sealer = Sealer::new(store.fleet_key.clone(), store.node.clone());
        let mut redis = Redis::new(&store.redis, sealer).map_err(|error| anyhow::anyhow!("store.url: {}", error.text))?;
        let restored = runtime.block_on(redis.restore(PATIENCE));
        if let Outcome::Incomplete(error) = &restored.outcome {
            let kind = error.kind.name();
            tracing::warn!(kind, error = %error.text, "the store cannot be read; opening without what it may hold");
        }
        let (outbox, inbox) = inbox(4 * workers + 16);
        let mut counts = Restoration { restored: 0, lost: restored.not_restored };
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let records = restored.records.iter().filter_map(|record| counts.readable(record, unix)).collect();
        Ok(Self { lock, redis, inbox, outbox, records, counts })
    }

    /// What a worker tells the store by.
    pub(crate) fn journal(&self) -> Journal {
        Journal::new(self.outbox.clone())
    }

    /// Brings back what belongs to a worker: `restore` does it for one allocation.
    pub(crate) fn restore(&mut self, worker: u16, workers: usize, mut restore: impl FnMut(&AllocationRecord) -> bool) {
        for record in &self.records {
            if steering::worker_of(record.five_tuple.client, workers) != usize::from(worker) {
                continue;
            }
            if restore(record) {
                self.counts.restored += 1;
            } else {
                self.counts.lose("taken");
            }
        }
    }

    /// Says how restoring went.
    pub(crate) fn report(&self) {
        let (restored, lost): (u64, u64) = (self.counts.restored, self.counts.lost.values().sum());
        if restored > 0 || lost > 0 {
            tracing::info!(restored, not_restored = lost, reasons = ?self.counts.lost, "allocations of the process before this one");
        }
    }

    /// The task that writes, until `stop` resolves and a last time then; and the metrics of it.
    pub(crate) fn writer(
        self,
        workers: Vec<(Sender<Mail>, Arc<Counters>)>,
        report: NodeReport,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> (impl Future<Output = ()> + Send + 'static, impl Fn(&mut Samples) + Send + Sync + 'static) {
        let accounting = Accounting::new(SPOOL.0, SPOOL.1);
        let source = WorkerSource::new(workers, self.inbox, accounting.clone(), report);
        let writer = Writer::new(self.redis, source, accounting.clone(), WriterSettings::default());
        let (status, counts, lock) = (writer.status(), self.counts, self.lock);
        let writing = async move {
            writer.run(stop, LAST).await;
            drop(lock);
        };
        (writing, move |samples: &mut Samples| collect(samples, &status, &counts, &accounting))
    }
}

impl Restoration {
    fn lose(&mut self, reason: &'static str) {
        *self.lost.entry(reason).or_default() += 1;
    }

    /// A record that the relay can take: of a client on UDP, whose path has not ended with the process.
    fn readable(&mut self, record: &Record, unix: Duration) -> Option<AllocationRecord> {
        if record.five_tuple.transport != Transport::Udp {
            self.lose("connection");
            return None;
        }
        let allocation = from_store(record, unix);
        if allocation.is_none() {
            self.lose("unknown_key");
        }
        allocation
    }
}

/// Where clients reach this node.
pub(crate) fn addresses(listen: &[causeway_daemon::config::Listen]) -> Vec<(String, SocketAddr)> {
    listen.iter().flat_map(|listen| listen.transports.iter().map(|transport| (transport.to_string(), listen.address))).collect()
}

const STATE: Family = Family::gauge("store_state", "How the store stands: 1 for the state that it is in");
const LAG: Family = Family::gauge("store_lag", "Age of the oldest change that is not known to be written").unit(Unit::Seconds);
const UNWRITTEN: Family = Family::gauge("store_unwritten", "Changes that are not known to be written");
const WRITTEN: Family = Family::counter("store_written", "Changes written");
const COMPARED: Family = Family::counter("store_comparisons", "Comparisons of the whole directory");
const STALE: Family = Family::counter("store_stale_deleted", "Records that were found in the store and belonged to nobody");
const ERRORS: Family = Family::counter("store_errors", "Errors of the store");
const RESTORED: Family = Family::counter("store_records_restored", "Allocations brought back at the start");
const NOT_RESTORED: Family = Family::counter("store_records_not_restored", "Records that could not be brought back at the start");
const SPOOLED: Family = Family::gauge("store_accounting_entries", "Accounting entries that wait for the store");
const SPOOL_LOST: Family = Family::counter("store_accounting_lost", "Accounting entries lost");

fn collect(samples: &mut Samples, status: &Status, counts: &Restoration, accounting: &Accounting) {
    let report = status.read();
    for state in State::ALL {
        samples.add(&STATE, &[("state", state.name().into())], u64::from(state == report.state));
    }
    samples.add(&LAG, &[], report.lag.as_secs());
    samples.add(&UNWRITTEN, &[], report.depth);
    samples.add(&WRITTEN, &[], report.written);
    samples.add(&COMPARED, &[], report.comparisons);
    samples.add(&STALE, &[], report.deleted_stale);
    for kind in ErrorKind::ALL {
        samples.add(&ERRORS, &[("kind", kind.name().into())], report.errors[kind.index()]);
    }
    samples.add(&RESTORED, &[], counts.restored);
    for (reason, count) in &counts.lost {
        samples.add(&NOT_RESTORED, &[("reason", (*reason).into())], *count);
    }
    samples.add(&SPOOLED, &[], accounting.depth() as u64);
    samples.add(&SPOOL_LOST, &[], accounting.lost());
}
