use std::time::Instant;

use super::Backlog;

/// What was taken from the source and is not known to be written.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    changes: u64,
    since: Option<Instant>,
}

impl Unwritten {
    /// A batch was taken.
    pub(super) fn taken(&mut self, changes: usize) {
        if changes > 0 {
            self.changes += changes as u64;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// A comparison begins: what was taken before is offered again, and counts then.
    pub(super) fn offered_again(&mut self) {
        self.changes = 0;
    }

    /// The store failed: until it is written again nobody knows what it holds.
    pub(super) fn failed(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// All that was taken is written; `whole` when nothing of an outage is left either.
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

    /// Together with what waits in the source.
    pub(super) fn with(&self, waiting: Backlog) -> (u64, Option<Instant>) {
        let oldest = [self.since, waiting.oldest].into_iter().flatten().min();
        (self.changes + waiting.changes, oldest)
    }
}
