//! How many changes are not written, and since when.

use std::time::Instant;

use super::Backlog;

/// The changes that were taken from the source and are not known to be written.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    changes: u64,
    since: Option<Instant>,
}

impl Unwritten {
    /// A batch was taken from the source.
    pub(super) fn taken(&mut self, changes: usize) {
        if changes > 0 {
            self.changes += changes as u64;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// A comparison begins: changes taken before are offered again, and counted then.
    pub(super) fn offered_again(&mut self) {
        self.changes = 0;
    }

    /// The store failed: its content is unknown until everything is written again.
    pub(super) fn failed(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Every change taken is written; `whole` if nothing is left from an outage either.
    pub(super) fn written(&mut self, whole: bool) {
        self.changes = 0;
        if whole {
            self.since = None;
        }
    }

    /// Whether anything may be unwritten.
    pub(super) fn is_any(&self) -> bool {
        self.since.is_some()
    }

    /// The number of unwritten changes, with those that wait in the source, and the time of the
    /// oldest.
    pub(super) fn with(&self, waiting: Backlog) -> (u64, Option<Instant>) {
        let oldest = [self.since, waiting.oldest].into_iter().flatten().min();
        (self.changes + waiting.changes, oldest)
    }
}
