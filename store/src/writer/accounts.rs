use std::time::{Duration, Instant};

use crate::accounting::Accounting;
use crate::directory::Directory;
use crate::error::{ErrorKind, StoreError};
use crate::status::Status;

/// How long accounts wait that the store has refused.
const PAUSE: Duration = Duration::from_secs(1);
/// How long nothing more is said of it.
const QUIET: Duration = Duration::from_secs(60);

/// Accounts on their way to the store. What refuses them delays them alone, never the records
/// (H50).
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

    /// Writes up to `limit` of them.
    ///
    /// # Errors
    /// When the connection is lost, which concerns the records too.
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
                    tracing::warn!(kind, error = %error.text, waiting, "store: accounting entries are refused; records are written on");
                }
                Ok(())
            }
        }
    }

    /// The next call tries again at once.
    pub(super) fn retry(&mut self) {
        self.refused = None;
    }

    /// Whether some wait that the store has not refused just now.
    pub(super) fn can_be_written(&self) -> bool {
        self.spool.depth() > 0 && self.refused.is_none()
    }

    /// At the end of the process: what is lost now is said.
    pub(super) fn report_unwritten(&self) {
        let lost = self.spool.depth();
        if lost > 0 {
            tracing::warn!(lost, "store: accounting entries were not written before the end");
        }
    }
}
