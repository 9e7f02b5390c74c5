//! The server's place in the store: claimed and restored at the start, written by a task while the
//! server runs.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use causeway_daemon::metrics::{Family, Samples, Unit};
use causeway_net::mailbox::Sender;
use causeway_store::{
    Accounting, Directory, ErrorKind, NodeLock, Outcome, Redis, Sealer, State, Status, Writer,
    WriterSettings,
};
use tokio::runtime::Runtime;

use crate::accounts::{self, Bundle};
use crate::config::Store;
use crate::counters::Counters;
use crate::inbox::{Inbox, Outbox, inbox};
use crate::mail::Mail;
use crate::records::{Left, Restoring};
use crate::store::directory::{WorkerMessage, WorkerSource};
use crate::store::journal::Journal;
use crate::store::registry::Registered;
use crate::store::restoration::{Restoration, TAKEN};

/// Maximum time for writing the remaining changes at shutdown.
const LAST: Duration = Duration::from_secs(2);
/// Maximum number and bytes of accounting entries that wait while the store is away.
const SPOOL: (usize, usize) = (100_000, 32 << 20);

/// The store of the node whose name this process has claimed.
pub(crate) struct Persistence {
    /// Released when the process ends.
    lock: NodeLock,
    redis: Redis,
    inbox: Inbox<WorkerMessage>,
    outbox: Outbox<WorkerMessage>,
    accounts: (Outbox<Bundle>, Inbox<Bundle>),
    spool: Accounting,
    records: Vec<Left>,
    restoration: Arc<Restoration>,
}

impl Persistence {
    /// Claims the node's name, and reads the records of the previous process.
    ///
    /// # Errors
    /// Another server has the name, on this host or another, or the URL is not usable. A store that
    /// is away is no error.
    pub(crate) fn claim(
        store: &Store,
        realm: &str,
        workers: usize,
        runtime: &Runtime,
    ) -> Result<Self> {
        let sealer = Sealer::new(store.fleet_key.clone(), store.node.clone());
        let mut redis = Redis::new(&store.redis, sealer)
            .map_err(|error| anyhow::anyhow!("store.url: {}", error.text))?;
        let lock = NodeLock::acquire(&store.lock_directory, &store.node, redis.incarnation())
            .context("store.node_id")?;
        redis.succeed(lock.ended());
        if store.take_over {
            redis.take_over();
        }
        let restored = runtime.block_on(redis.restore(store.restore_patience));
        match &restored.outcome {
            Outcome::Complete => {}
            Outcome::Incomplete(error) if error.kind == ErrorKind::Fenced => anyhow::bail!(
                "store.node_id: {}; give this server another name, stop the other one, or take the \
                 name from it with --take-over",
                error.text
            ),
            Outcome::Incomplete(error) => {
                let kind = error.kind.name();
                tracing::warn!(
                    kind,
                    error = %error.text,
                    "cannot read the store; starting without the records it may have"
                );
            }
        }
        let (outbox, inbox) = inbox(4 * workers + 16);
        let (spool, accounts) =
            (Accounting::new(SPOOL.0, SPOOL.1), crate::inbox::inbox(4 * workers + 16));
        let restoration = Arc::new(Restoration::new(realm, spool.clone()));
        let (records, ended) = restoration.sort(restored);
        redis.answer_for(ended);
        Ok(Self { lock, redis, inbox, outbox, accounts, spool, records, restoration })
    }

    /// Creates the journal of a worker.
    pub(crate) fn journal(&self, worker: u16) -> Journal {
        Journal::new(worker, self.outbox.clone())
    }

    /// The spool in which accounting entries wait for the store.
    pub(crate) fn spool(&self) -> Accounting {
        self.spool.clone()
    }

    /// The mailbox for a worker's accounting entries.
    pub(crate) fn accounts(&self) -> Outbox<Bundle> {
        self.accounts.0.clone()
    }

    /// Restores a worker's allocations by calling `restore` for each.
    pub(crate) fn restore(
        &mut self,
        worker: u16,
        workers: usize,
        mut restore: impl FnMut(Box<Left>) -> Restoring,
    ) {
        for left in std::mem::take(&mut self.records) {
            if left.worker(workers) != usize::from(worker) {
                self.records.push(left);
                continue;
            }
            match restore(Box::new(left)) {
                Restoring::Restored(record) => {
                    self.restoration.add();
                    self.redis.answer_for([record]);
                }
                Restoring::Waits => {}
                Restoring::Lost(left) => self.restoration.lose(&left.record, TAKEN),
            }
        }
    }

    /// Logs how many allocations were restored.
    pub(crate) fn report(&self) {
        self.restoration.report();
    }

    /// Returns the task that writes until `stop` resolves, and then the rest; its metrics; and its
    /// status.
    pub(crate) fn writer(
        self,
        workers: Vec<(Sender<Mail>, Arc<Counters>)>,
        registered: Registered,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> (
        impl Future<Output = ()> + Send + 'static,
        impl Fn(&mut Samples) + Send + Sync + 'static,
        Status,
    ) {
        let counters: Vec<_> = workers.iter().map(|(_, counters)| Arc::clone(counters)).collect();
        let source =
            WorkerSource::new(workers, self.inbox, registered, Arc::clone(&self.restoration));
        let writer = Writer::new(self.redis, source, self.spool.clone(), WriterSettings::default());
        let (status, restoration, lock, spool) =
            (writer.status(), self.restoration, self.lock, self.spool);
        let collecting = accounts::collect(self.accounts.1, spool.clone());
        let writing = async move {
            tokio::select! {
                () = writer.run(stop, LAST) => {}
                () = collecting => {}
            }
            drop(lock);
        };
        let shown = status.clone();
        (
            writing,
            move |samples: &mut Samples| collect(samples, &status, &restoration, &counters, &spool),
            shown,
        )
    }
}

const STATE: Family = Family::gauge("store_state", "State of the store: 1 for the current state");
const LAG: Family =
    Family::gauge("store_lag", "Age of the oldest change that is not known to be written")
        .unit(Unit::Seconds);
const UNWRITTEN: Family =
    Family::gauge("store_unwritten", "Changes that are not known to be written");
const WRITTEN: Family = Family::counter("store_written", "Changes written");
const COMPARED: Family = Family::counter("store_comparisons", "Comparisons of the whole directory");
const STALE: Family =
    Family::counter("store_stale_deleted", "Stale records found in the store and deleted");
const ERRORS: Family = Family::counter("store_errors", "Errors of the store");
const RESTORED: Family =
    Family::counter("store_records_restored", "Allocations restored at the start");
const RESTORED_LATE: Family = Family::counter(
    "store_records_restored_late",
    "Allocations restored later: the store could not be read in time, or another program used the \
     port",
);
const NOT_RESTORED: Family = Family::counter(
    "store_records_not_restored",
    "Records that could not be restored, or not at the start",
);
const SPOOLED: Family =
    Family::gauge("store_accounting_entries", "Accounting entries that wait for the store");
const TRIMMED: Family = Family::counter(
    "store_accounting_trimmed",
    "Accounting entries that this process removed from a full store to make room for records",
);
const STREAM: Family = Family::gauge(
    "store_accounting_stream_entries",
    "Entries of the accounting stream, if the store says so",
);
const MISSING: Family = Family::counter(
    "store_records_missing",
    "Records of live allocations found missing by random samples",
);
const MAY_EVICT: Family =
    Family::gauge("store_may_evict", "Whether a full store may evict records, if it says so");
const SPOOL_LOST: Family = Family::counter("store_accounting_lost", "Accounting entries lost");

fn collect(
    samples: &mut Samples,
    status: &Status,
    restoration: &Restoration,
    counters: &[Arc<Counters>],
    accounting: &Accounting,
) {
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
    let sum = |of: fn(&Counters) -> u64| counters.iter().map(|counters| of(counters)).sum::<u64>();
    samples.add(&RESTORED, &[], restoration.restored());
    samples.add(&RESTORED_LATE, &[], sum(|counters| counters.restored_late.value()));
    let (mut lost, taken) =
        (restoration.lost(), sum(|counters| counters.not_restored_late.value()));
    if taken > 0 {
        *lost.entry(TAKEN).or_default() += taken;
    }
    for (reason, count) in lost {
        samples.add(&NOT_RESTORED, &[("reason", reason.into())], count);
    }
    samples.add(&SPOOLED, &[], accounting.depth() as u64);
    samples.add(&SPOOL_LOST, &[], accounting.lost());
    samples.add(&TRIMMED, &[], report.inspection.accounting_trimmed);
    samples.add(&STREAM, &[], report.inspection.accounting_entries.unwrap_or_default());
    samples.add(&MISSING, &[], report.missing);
    samples.add(&MAY_EVICT, &[], u64::from(report.inspection.may_evict == Some(true)));
}
