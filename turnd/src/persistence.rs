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

use crate::accounts::{self, Bundle, account_of_record};
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
    accounts: (Outbox<Bundle>, Inbox<Bundle>),
    spool: Accounting,
    realm: String,
    records: Vec<Left>,
    counts: Restoration,
}

/// An allocation of the process before this one.
struct Left {
    record: Record,
    allocation: AllocationRecord,
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
    pub(crate) fn claim(store: &Store, realm: &str, workers: usize, runtime: &Runtime) -> Result<Self> {
        let lock = NodeLock::acquire(&store.lock_directory, &store.node).context("store.node_id")?;
        let sealer = Sealer::new(store.fleet_key.clone(), store.node.clone());
        let mut redis = Redis::new(&store.redis, sealer).map_err(|error| anyhow::anyhow!("store.url: {}", error.text))?;
        let restored = runtime.block_on(redis.restore(PATIENCE));
        if let Outcome::Incomplete(error) = &restored.outcome {
            let kind = error.kind.name();
            tracing::warn!(kind, error = %error.text, "the store cannot be read; opening without what it may hold");
        }
        let (outbox, inbox) = inbox(4 * workers + 16);
        let counts = Restoration { restored: 0, lost: restored.not_restored };
        let (spool, accounts) = (Accounting::new(SPOOL.0, SPOOL.1), crate::inbox::inbox(4 * workers + 16));
        let mut this = Self { lock, redis, inbox, outbox, accounts, spool, realm: realm.to_owned(), records: Vec::new(), counts };
        this.sort(restored.records, &restored.ended);
        Ok(this)
    }

    /// What a worker tells the store by.
    pub(crate) fn journal(&self) -> Journal {
        Journal::new(self.outbox.clone())
    }

    /// Where accounts wait for the store.
    pub(crate) fn spool(&self) -> Accounting {
        self.spool.clone()
    }

    /// What a worker sends its accounts by.
    pub(crate) fn accounts(&self) -> Outbox<Bundle> {
        self.accounts.0.clone()
    }

    /// Brings back what belongs to a worker: `restore` does it for one allocation, whose client the proxy speaks for, if there is one.
    pub(crate) fn restore(&mut self, worker: u16, workers: usize, mut restore: impl FnMut(&AllocationRecord, Option<SocketAddr>) -> bool) {
        for Left { record, allocation } in std::mem::take(&mut self.records) {
            // The kernel steers by whom a datagram comes from.
            let from = record.proxy.unwrap_or(record.five_tuple.client);
            if steering::worker_of(from, workers) != usize::from(worker) {
                self.records.push(Left { record, allocation });
            } else if restore(&allocation, record.proxy) {
                self.counts.restored += 1;
            } else {
                self.lose(&record, "taken");
            }
        }
    }

    /// Takes what the relay can take: of clients on UDP, whose path has not ended with the process. The others have their last account.
    fn sort(&mut self, records: Vec<Record>, ended: &[Record]) {
        // Of a record that cannot be read, or is gone with its allocation, no account can be made.
        let unreadable = self.counts.lost.values().sum::<u64>().saturating_sub(ended.len() as u64);
        self.spool.lose(unreadable);
        ended.iter().for_each(|record| self.account(record, "expired"));
        let unix = unix();
        for record in records {
            match from_store(&record, unix) {
                _ if record.five_tuple.transport != Transport::Udp => self.lose(&record, "connection"),
                None => self.lose(&record, "unknown_key"),
                Some(allocation) => self.records.push(Left { record, allocation }),
            }
        }
    }

    fn lose(&mut self, record: &Record, reason: &'static str) {
        self.counts.lose(reason);
        self.account(record, reason);
    }

    /// The last account of an allocation that does not go on.
    fn account(&self, record: &Record, reason: &'static str) {
        let account = account_of_record(unix(), &self.realm, record, reason);
        accounts::tell(&account, None, None);
        self.spool.push(account);
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
        let source = WorkerSource::new(workers, self.inbox, report);
        let writer = Writer::new(self.redis, source, self.spool.clone(), WriterSettings::default());
        let (status, counts, lock, spool) = (writer.status(), self.counts, self.lock, self.spool);
        let collecting = accounts::collect(self.accounts.1, spool.clone());
        let writing = async move {
            tokio::select! {
                () = writer.run(stop, LAST) => {}
                () = collecting => {}
            }
            drop(lock);
        };
        (writing, move |samples: &mut Samples| collect(samples, &status, &counts, &spool))
    }
}

impl Restoration {
    fn lose(&mut self, reason: &'static str) {
        *self.lost.entry(reason).or_default() += 1;
    }
}

fn unix() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
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
const TRIMMED: Family =
    Family::counter("store_accounting_trimmed", "Accounting entries that this process removed from a full store to make room for records");
const STREAM: Family = Family::gauge("store_accounting_stream_entries", "Entries of the accounting stream, as far as the store tells");
const MISSING: Family = Family::counter("store_records_missing", "Records of live allocations that a random sample has found gone");
const MAY_EVICT: Family = Family::gauge("store_may_evict", "Whether the store may evict records when it is full, as far as it tells");
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
    samples.add(&TRIMMED, &[], report.inspection.accounting_trimmed);
    samples.add(&STREAM, &[], report.inspection.accounting_entries.unwrap_or_default());
    samples.add(&MISSING, &[], report.missing);
    samples.add(&MAY_EVICT, &[], u64::from(report.inspection.may_evict == Some(true)));
}
