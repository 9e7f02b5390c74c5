//! The task that brings changes into the directory.

mod accounts;
mod backlog;
mod source;

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::accounting::Accounting;
use crate::change::Change;
use crate::directory::Directory;
use crate::error::{ErrorKind, StoreError};
use crate::status::{State, Status};
use accounts::Accounts;
use backlog::Unwritten;
pub use source::{Backlog, Source};

/// The state of a node that stops, in the registry.
const DRAINING: &str = "draining";

/// Batches of changes that a server without its name discards at a time.
const FENCED_BATCHES: usize = 64;

/// How the writer goes about it.
#[derive(Clone, Copy, Debug)]
pub struct WriterSettings {
    /// Changes in one round trip.
    pub batch: usize,
    /// For so long it waits for a change before it looks after the rest.
    pub patience: Duration,
    /// How often the node reports to the fleet.
    pub heartbeat: Duration,
    /// For so long a report counts.
    pub heartbeat_lifetime: Duration,
    /// How long it waits after the first failure; twice as long after each further one…
    pub backoff: Duration,
    /// …up to this.
    pub max_backoff: Duration,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            batch: 256,
            patience: Duration::from_millis(250),
            heartbeat: Duration::from_secs(5),
            heartbeat_lifetime: Duration::from_secs(20),
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
        }
    }
}

/// Pulls changes from a [`Source`] and writes them to a [`Directory`]: [`run`](Self::run) is a task
/// of its own on the control side.
pub struct Writer<D, S> {
    directory: D,
    source: S,
    accounts: Accounts,
    settings: WriterSettings,
    status: Status,
    unwritten: Unwritten,
    /// What is to be done before changes can be written as they come.
    full: Full,
    /// The store refuses to take more; what it still does in this comparison is delete.
    refused: Option<StoreError>,
    failures: u32,
    is_stopping: bool,
    reported: Option<Instant>,
}

/// How far the comparison of the whole directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// To be begun: at the start, after an outage, when the store has lost the directory.
    Due,
    /// The source offers everything.
    Going,
    Done,
}

impl<D: Directory, S: Source> Writer<D, S> {
    /// A writer for a directory that was restored from.
    pub fn new(directory: D, source: S, accounting: Accounting, settings: WriterSettings) -> Self {
        let status = Status::new(State::Connecting);
        let (unwritten, full) = (Unwritten::default(), Full::Due);
        Self {
            directory,
            source,
            accounts: Accounts::new(accounting),
            settings,
            status,
            unwritten,
            full,
            refused: None,
            failures: 0,
            is_stopping: false,
            reported: None,
        }
    }

    /// What it shows of itself, while it runs.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Works until `stop` resolves, and then writes what is left for `last` at the most, and gives
    /// the node's name up.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send, last: Duration) {
        tokio::select! {
            () = stop => {
                if self.unwritten.is_any() {
                    // A batch may have been on its way when the work was dropped.
                    self.full = Full::Due;
                }
                let left = tokio::time::timeout(last, self.finish()).await;
                if !matches!(left, Ok(Ok(()))) {
                    tracing::warn!(changes = self.status.read().depth, "store: not all was written before the end");
                }
                self.accounts.report_unwritten();
                // Also where something was refused: what is there is for the next process, which need not wait.
                if let Err(error) = self.directory.leave().await {
                    tracing::debug!(error = %error.text, "store: the name is free when the last heartbeat has had its time");
                }
            }
            () = self.work() => {}
        }
    }

    async fn work(&mut self) {
        loop {
            match self.step(self.settings.patience).await {
                Ok(_) => self.failures = 0,
                // While it wrote: what the other is, and whether it lives, the next claim finds
                // out.
                Err(error)
                    if error.kind == ErrorKind::Fenced
                        && self.full != Full::Due
                        && self.failures == 0 =>
                {
                    (self.full, self.failures) = (Full::Due, 1);
                }
                Err(error) if error.kind == ErrorKind::Fenced => self.wait_fenced(&error).await,
                Err(error) => self.fail(&error).await,
            }
        }
    }

    /// One batch and what goes along with it. Gives whether there was a change to write.
    async fn step(&mut self, patience: Duration) -> Result<bool, StoreError> {
        if self.source.lost_count() {
            self.full = Full::Due;
        }
        if self.full == Full::Due {
            // Before the comparison begins: what is made after this instant is a change, and is
            // offered as one.
            self.directory.begin_full().await?;
            self.refused = None;
            self.unwritten.offered_again();
            if self.status.state() != State::Refused {
                self.status.set_state(State::Comparing);
            }
            self.source.offer_all().await;
            self.full = Full::Going;
        }
        // Records that the restore has not read: where the port is still free, the call goes on.
        let late = self.directory.read_late().await?;
        if !late.is_empty() {
            self.source.adopt(late).await;
        }
        // In a comparison it waits only for owners that have not answered.
        let patience = if self.full == Full::Going { self.settings.patience } else { patience };
        let changes = self.source.drain(self.settings.batch, patience).await;
        self.unwritten.taken(changes.len());
        self.note_backlog();
        if !changes.is_empty() {
            self.write(&changes).await?;
        }
        match self.full {
            // Changes that were given up while they offered are known neither as living nor as
            // ended: nothing may be deleted for them.
            Full::Going if self.source.is_offered() && self.source.lost_count() => {
                self.full = Full::Due;
            }
            Full::Going if self.source.is_offered() => {
                let stale = self.directory.end_full().await?;
                self.status.compared(stale);
                self.full = Full::Done;
                self.settle().await?;
            }
            Full::Done if changes.is_empty() => self.settle().await?,
            _ => {}
        }
        // An owner that does not answer, or one that always has something to offer, delays neither.
        // A full store takes reports only.
        self.report().await?;
        if self.refused.is_none() {
            self.accounts.write(&mut self.directory, self.settings.batch, &self.status).await?;
        }
        Ok(!changes.is_empty() || self.full != Full::Done)
    }

    async fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if self.refused.is_none() {
            match self.directory.write(changes).await {
                Ok(()) => {
                    self.status.add_written(changes.len());
                    self.unwritten.written(self.full == Full::Done);
                    self.note_backlog();
                    return Ok(());
                }
                Err(error) if error.kind == ErrorKind::Full => self.refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        // A full store still deletes, and that is what makes room: go on with the deletions alone,
        // to the end of what there is.
        let deletions: Vec<Change> =
            changes.iter().filter(|change| matches!(change, Change::Delete(_))).cloned().collect();
        if deletions.is_empty() { Ok(()) } else { self.directory.write(&deletions).await }
    }

    /// All that there was has been drained: it is written, or what the store refused is told.
    async fn settle(&mut self) -> Result<(), StoreError> {
        if let Some(refused) = self.refused.take() {
            self.report().await?;
            return Err(refused);
        }
        self.status.set_state(State::Connected);
        self.unwritten.written(true);
        self.note_backlog();
        Ok(())
    }

    async fn report(&mut self) -> Result<(), StoreError> {
        if self.reported.is_some_and(|reported| reported.elapsed() < self.settings.heartbeat) {
            return Ok(());
        }
        let mut report = self.source.report().await;
        if self.is_stopping {
            report.state = DRAINING.into();
        }
        self.directory.heartbeat(&report, self.settings.heartbeat_lifetime).await?;
        self.reported = Some(Instant::now());
        let inspection = self.directory.inspect().await?;
        self.status.inspected(inspection);
        if inspection.missing > 0 {
            tracing::warn!(
                missing = inspection.missing,
                "store: records of live allocations are gone; everything is written again"
            );
            self.full = Full::Due;
        }
        Ok(())
    }

    /// After a failure the batch is dropped: the comparison that follows offers whatever it held.
    async fn fail(&mut self, error: &StoreError) {
        self.full = Full::Due;
        self.status.failed(error);
        // A server without its name is without it until it has claimed it again.
        if self.status.state() != State::Fenced {
            self.status.set_state(match error.kind {
                ErrorKind::Full | ErrorKind::ReadOnly | ErrorKind::NoReplicas => State::Refused,
                _ => State::Connecting,
            });
        }
        self.unwritten.failed();
        if error.kind == ErrorKind::NeedsFull && self.failures == 0 {
            self.failures = 1;
            return;
        }
        let pause = self
            .settings
            .backoff
            .saturating_mul(1 << self.failures.min(16))
            .min(self.settings.max_backoff);
        self.failures += 1;
        // In slices, so that what the status shows of the source stays fresh.
        let until = Instant::now() + pause;
        while let Some(left) =
            until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
        {
            self.note_backlog();
            sleep(left.min(Duration::from_millis(250))).await;
        }
    }

    /// Another server has the name. This one looks again when a heartbeat is due; until then the
    /// accounts of its calls go on.
    async fn wait_fenced(&mut self, error: &StoreError) {
        if self.status.state() != State::Fenced {
            tracing::error!(error = %error.text, "store: no record is written while another server has this node's name; the calls go on");
        }
        self.status.set_state(State::Fenced);
        self.status.failed(error);
        self.unwritten.failed();
        self.full = Full::Due;
        // Changes of this time are offered when the name is this server's again.
        for _ in 0..FENCED_BATCHES {
            if self.source.drain(self.settings.batch, Duration::ZERO).await.is_empty() {
                break;
            }
        }
        self.accounts.retry();
        while self.accounts.can_be_written() {
            if let Err(error) =
                self.accounts.write(&mut self.directory, self.settings.batch, &self.status).await
            {
                self.status.failed(&error);
                break;
            }
        }
        self.note_backlog();
        sleep(self.settings.heartbeat).await;
    }

    async fn finish(&mut self) -> Result<(), StoreError> {
        (self.is_stopping, self.reported) = (true, None);
        self.accounts.retry();
        while self.step(Duration::ZERO).await? || self.accounts.can_be_written() {}
        Ok(())
    }

    fn note_backlog(&self) {
        let backlog = self.source.backlog();
        let (depth, oldest) = self.unwritten.with(backlog);
        self.status.set_backlog(depth, oldest);
    }
}
