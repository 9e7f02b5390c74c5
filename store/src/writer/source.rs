use std::future::Future;
use std::time::{Duration, Instant};

use crate::change::Change;
use crate::directory::{NodeReport, Restored};

/// Where changes come from: the workers' sets of changed and ended allocations, behind their
/// mailboxes.
pub trait Source: Send + 'static {
    /// Takes up to `limit` changes out, as soon as there is one; none when there is none within
    /// `patience`. Of an allocation that changed twice there is one change, its latest state.
    fn drain(
        &mut self,
        limit: usize,
        patience: Duration,
    ) -> impl Future<Output = Vec<Change>> + Send;

    /// Begins a comparison: [`drain`](Self::drain) is to give every allocation. Marks of deletion
    /// stay.
    fn offer_all(&mut self) -> impl Future<Output = ()> + Send;

    /// Whether [`drain`](Self::drain) has given all that the latest [`offer_all`](Self::offer_all)
    /// has to give: every owner of allocations has answered, and nothing of its answer waits. A
    /// comparison deletes nothing before that.
    fn is_offered(&self) -> bool;

    /// Whether so much has changed at once that the deletions among it are not known: everything is
    /// to be offered and compared. Asked once.
    fn lost_count(&mut self) -> bool {
        false
    }

    /// Brings back what a restore has not read in its time, as far as its ports are free. What
    /// cannot be brought back is left to expire.
    fn adopt(&mut self, late: Restored) -> impl Future<Output = ()> + Send;

    /// What the fleet is told of this node.
    fn report(&mut self) -> impl Future<Output = NodeReport> + Send;

    /// What waits to be drained; asked often, also while the store is away.
    fn backlog(&self) -> Backlog;
}

/// What waits in the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Changes.
    pub changes: u64,
    /// When the oldest of them was made.
    pub oldest: Option<Instant>,
}
