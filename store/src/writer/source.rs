//! The interface through which the writer pulls changes from the workers.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::directory::{Change, NodeReport, Restored};

/// The source of changes: the workers' sets of changed and ended allocations, behind their
/// mailboxes.
pub trait Source: Send + 'static {
    /// Takes up to `limit` changes as soon as there is one; none if none appears within `patience`.
    /// An allocation that changed twice yields one change, its latest state.
    fn drain(
        &mut self,
        limit: usize,
        patience: Duration,
    ) -> impl Future<Output = Vec<Change>> + Send;

    /// Begins a comparison: from now on [`drain`](Self::drain) returns every allocation. Pending
    /// deletions stay.
    fn offer_all(&mut self) -> impl Future<Output = ()> + Send;

    /// Whether [`drain`](Self::drain) has returned every allocation since the latest
    /// [`offer_all`](Self::offer_all): every worker has answered, and no part of its answer waits.
    /// A comparison deletes nothing before that.
    fn is_offered(&self) -> bool;

    /// Whether more allocations ended at once than the workers can remember, so that a comparison
    /// is needed. Calling it resets the flag.
    fn lost_count(&mut self) -> bool {
        false
    }

    /// Restores records that were read too late for the start, if their ports are free. Records
    /// that cannot be restored are left to expire.
    fn adopt(&mut self, late: Restored) -> impl Future<Output = ()> + Send;

    /// The report of this node for the fleet.
    fn report(&mut self) -> impl Future<Output = NodeReport> + Send;

    /// The changes that wait to be drained. Called often, also while the store is away.
    fn backlog(&self) -> Backlog;
}

/// The changes that wait in the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Number of changes.
    pub changes: u64,
    /// Time of the oldest change, if it is known.
    pub oldest: Option<Instant>,
}
