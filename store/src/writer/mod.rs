//! The task that writes changes into the directory.

mod accounts;
mod backlog;
mod source;

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::accounting::Accounting;
use crate::directory::{Change, Directory};
use crate::error::{ErrorKind, StoreError};
use crate::status::{State, Status};
use accounts::Accounts;
use backlog::Unwritten;
pub use source::{Backlog, Source};

/// State of a stopping node in the registry.
const DRAINING: &str = "draining";

/// Maximum number of batches that a server without its name discards at a time.
const FENCED_BATCHES: usize = 64;

/// Batch size and intervals of the writer.
#[derive(Clone, Copy, Debug)]
pub struct WriterSettings {
    /// Maximum number of changes in one round trip.
    pub batch: usize,
    /// How long to wait for a change before doing the other work.
    pub patience: Duration,
    /// How often the node reports to the fleet.
    pub heartbeat: Duration,
    /// How long a report is fresh.
    pub heartbeat_lifetime: Duration,
    /// How long to wait after the first failure; the wait doubles with each further one.
    pub backoff: Duration,
    /// Maximum wait after a failure.
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

/// Pulls changes from a [`Source`] and writes them to a [`Directory`]. [`run`](Self::run) is a task
/// of its own on the control side.
pub struct Writer<D, S> {
    directory: D,
    source: S,
    accounts: Accounts,
    settings: WriterSettings,
    status: Status,
    unwritten: Unwritten,
    /// The comparison that must finish before changes are written as they come.
    full: Full,
    /// The error of a full store, which in this comparison only deletes.
    refused: Option<StoreError>,
    failures: u32,
    is_stopping: bool,
    reported: Option<Instant>,
}

/// Progress of the comparison of the whole directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// Must begin: at the start, after an outage, or because the store has lost the directory.
    Due,
    /// The source is offering every allocation.
    Going,
    Done,
}

impl<D: Directory, S: Source> Writer<D, S> {
    /// Creates a writer for a directory whose [`restore`](Directory::restore) is done.
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

    /// The status, which is updated while the writer runs.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Writes changes until `stop` resolves. Then writes the remaining ones for at most `last`, and
    /// releases the node's name.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send, last: Duration) {
        tokio::select! {
            () = stop => {
                if self.unwritten.is_any() {
                    // A batch may have been on its way when `work` was dropped.
                    self.full = Full::Due;
                }
                let left = tokio::time::timeout(last, self.finish()).await;
                if !matches!(left, Ok(Ok(()))) {
                    tracing::warn!(
                        changes = self.status.read().depth,
                        "changes not written before shutdown"
                    );
                }
                self.accounts.report_unwritten();
                // Even if writes were rejected: the next process need not wait for the records that
                // exist.
                if let Err(error) = self.directory.leave().await {
                    tracing::debug!(
                        error = %error.text,
                        "node name not released; it is free once the last heartbeat expires"
                    );
                }
            }
            () = self.work() => {}
        }
    }

    async fn work(&mut self) {
        loop {
            match self.step(self.settings.patience).await {
                Ok(_) => self.failures = 0,
                // Fenced by a write: the next claim finds out which server it was and whether it
                // is alive.
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

    /// Writes one batch, reports, and writes accounting entries. Returns whether there was a
    /// change.
    async fn step(&mut self, patience: Duration) -> Result<bool, StoreError> {
        if self.source.lost_count() {
            self.full = Full::Due;
        }
        if self.full == Full::Due {
            // Before the source begins to offer: an allocation created later is offered as a
            // change.
            self.directory.begin_full().await?;
            self.refused = None;
            self.unwritten.offered_again();
            if self.status.state() != State::Refused {
                self.status.set_state(State::Comparing);
            }
            self.source.offer_all().await;
            self.full = Full::Going;
        }
        // Records that the restore has not read: if the port is still free, the call continues.
        let late = self.directory.read_late().await?;
        if !late.is_empty() {
            self.source.adopt(late).await;
        }
        // A comparison waits only for workers that have not answered.
        let patience = if self.full == Full::Going { self.settings.patience } else { patience };
        let changes = self.source.drain(self.settings.batch, patience).await;
        self.unwritten.taken(changes.len());
        self.note_backlog();
        if !changes.is_empty() {
            self.write(&changes).await?;
        }
        match self.full {
            // Deletions were lost while the workers offered, so the comparison cannot tell live
            // from ended records: nothing may be deleted.
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
        // Done in each step, so that a worker that does not answer, or always has changes, delays
        // neither. A full store takes reports only.
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
        // A full store still deletes, which makes room: continue with the deletions alone, until
        // none is left.
        let deletions: Vec<Change> =
            changes.iter().filter(|change| matches!(change, Change::Delete(_))).cloned().collect();
        if deletions.is_empty() { Ok(()) } else { self.directory.write(&deletions).await }
    }

    /// The source is drained: every change is written, or the error of a full store is returned.
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
                "records of live allocations are missing from the store; writing all records again"
            );
            self.full = Full::Due;
        }
        Ok(())
    }

    /// Handles a failure. The batch is dropped: the following comparison offers its changes again.
    async fn fail(&mut self, error: &StoreError) {
        self.full = Full::Due;
        self.status.failed(error);
        // A fenced server stays fenced until it has claimed the name again.
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
        // In slices, so that the status keeps showing the source's backlog.
        let until = Instant::now() + pause;
        while let Some(left) =
            until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
        {
            self.note_backlog();
            sleep(left.min(Duration::from_millis(250))).await;
        }
    }

    /// Another server has the name. This server looks again when a heartbeat is due; meanwhile it
    /// still writes accounting entries.
    async fn wait_fenced(&mut self, error: &StoreError) {
        if self.status.state() != State::Fenced {
            tracing::error!(
                error = %error.text,
                "another server has this node's name: no record is written; calls continue"
            );
        }
        self.status.set_state(State::Fenced);
        self.status.failed(error);
        self.unwritten.failed();
        self.full = Full::Due;
        // Changes of this time are offered again once the name is this server's.
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
