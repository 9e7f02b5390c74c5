use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use causeway_relay::Ledger;

use crate::tally::{Held, Tally};

/// Allocations of each user, over all workers, as one worker asks for them.
#[derive(Clone)]
pub(crate) struct UserQuota {
    users: Arc<Tally>,
    refused: Arc<AtomicBool>,
}

impl UserQuota {
    pub(crate) fn new(users: Arc<Tally>) -> Self {
        Self { users, refused: Arc::default() }
    }

    /// Whether the quota has refused a user since this was last asked.
    pub(crate) fn take_refusal(&self) -> bool {
        self.refused.swap(false, Ordering::Relaxed)
    }
}

impl Ledger for UserQuota {
    type Guard = Held;

    fn try_acquire(&self, quota_name: &str) -> Option<Self::Guard> {
        let held = self.users.acquire(quota_name);
        self.refused.store(held.is_none(), Ordering::Relaxed);
        held
    }
}
