use std::sync::Arc;

use causeway_relay::Ledger;

use crate::tally::{Held, Tally};

/// Allocations of each user, over all workers.
#[derive(Clone)]
pub(crate) struct UserQuota(pub(crate) Arc<Tally>);

impl Ledger for UserQuota {
    type Guard = Held;

    fn try_acquire(&self, quota_name: &str) -> Option<Self::Guard> {
        self.0.acquire(quota_name)
    }
}
