//! Writes accounting entries beside the records, and never delays those.

use std::time::{Duration, Instant};

use crate::accounting::Accounting;
use crate::directory::Directory;
use crate::error::{ErrorKind, StoreError};
use crate::status::Status;

/// How long to wait after the store has rejected entries.
const PAUSE: Duration = Duration::from_secs(1);
/// Minimum interval between two warnings.
const QUIET: Duration = Duration::from_secs(60);

/// Accounting entries on their way to the store. A store that rejects them delays them alone, never
/// the records (H50).
#[derive(Debug)]
pub(super) struct Accounts {
    spool: Accounting,
    refused: Option<Instant>,
    warned: Option<Instant>,
}

impl Accounts {
    pub(super) fn new(spool: Accounting) -> Self {
        Self { spool, refused: None, warned: None }
    }

    /// Writes up to `limit` entries.
    ///
    /// # Errors
    /// The connection is lost, which concerns the records too.
    pub(super) async fn write<D: Directory>(
        &mut self,
        directory: &mut D,
        limit: usize,
        status: &Status,
    ) -> Result<(), StoreError> {
        if self.refused.is_some_and(|refused| refused.elapsed() < PAUSE) {
            return Ok(());
        }
        let (first, entries) = self.spool.peek(limit);
        if entries.is_empty() {
            return Ok(());
        }
        match directory.account(&entries).await {
            Ok(()) => {
                self.spool.written(first, entries.len());
                self.refused = None;
                Ok(())
            }
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::Loading
                ) =>
            {
                Err(error)
            }
            Err(error) => {
                self.refused = Some(Instant::now());
                status.accounts_refused(&error);
                if self.warned.is_none_or(|warned| warned.elapsed() >= QUIET) {
                    self.warned = Some(Instant::now());
                    let (kind, waiting) = (error.kind.name(), self.spool.depth());
                    tracing::warn!(
                        kind,
                        error = %error.text,
                        waiting,
                        "store rejects accounting entries; records are still written"
                    );
                }
                Ok(())
            }
        }
    }

    /// Makes the next call try again at once.
    pub(super) fn retry(&mut self) {
        self.refused = None;
    }

    /// Whether entries wait and the store has not just rejected some.
    pub(super) fn can_be_written(&self) -> bool {
        self.spool.depth() > 0 && self.refused.is_none()
    }

    /// Warns at shutdown of entries that are lost.
    pub(super) fn report_unwritten(&self) {
        let lost = self.spool.depth();
        if lost > 0 {
            tracing::warn!(
                lost,
                "accounting entries lost: the store did not take them before shutdown"
            );
        }
    }
}
