use std::future::Future;
use std::time::{Duration, Instant};

use crate::change::Change;
use crate::directory::NodeReport;

/// Where changes come from: the workers' sets of changed and ended allocations, behind their mailboxes.
pub trait Source: Send + 'static {
    /// Takes up to `limit` changes out, as soon as there is one; none when there is none within `patience`. Of an allocation that changed
    /// twice there is one change, its latest state.
    fn drain(&mut self, limit: usize, patience: Duration) -> impl Future<Output = Vec<Change>> + Send;

    /// Marks every allocation as changed, so that [`drain`](Self::drain) gives all of them. Marks of deletion stay.
    fn offer_all(&mut self) -> impl Future<Output = ()> + Send;

    /// Whether so much has changed at once that the deletions among it are not known: everything is to be offered and compared. Asked once.
    fn lost_count(&mut self) -> bool {
        false
    }

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
