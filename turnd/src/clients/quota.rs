//! The quota of users: how many allocations each has, over all workers, up to a limit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::{AHashMap, RandomState};
use causeway_relay::Ledger;

/// Number of locks, so that workers that count different names rarely contend.
const SHARDS: usize = 16;

/// A count per name, over all workers, up to a limit. It is changed when an item is opened or
/// closed, never for a packet. Its size is bounded by the number of open items, and a name is
/// stored once, whatever its count.
pub(crate) struct Tally {
    shards: [Mutex<AHashMap<Arc<str>, usize>>; SHARDS],
    hasher: RandomState,
    cap: usize,
}

/// One counted item of a name. Dropping it decrements the count, whatever path drops it (H30).
pub(crate) struct Held {
    tally: Arc<Tally>,
    name: Arc<str>,
}

impl Tally {
    pub(crate) fn new(cap: usize) -> Arc<Self> {
        Arc::new(Self { shards: Default::default(), hasher: RandomState::new(), cap })
    }

    /// Counts one more item for `name`; `None` if its limit is reached.
    pub(crate) fn acquire(self: &Arc<Self>, name: &str) -> Option<Held> {
        let mut shard = self.shard(name);
        let name = match shard.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(name),
        };
        let count = shard.entry(Arc::clone(&name)).or_insert(0);
        // With a limit of 0 no entry is left behind.
        if *count >= self.cap {
            if *count == 0 {
                shard.remove(&name);
            }
            return None;
        }
        *count += 1;
        drop(shard);
        Some(Held { tally: Arc::clone(self), name })
    }

    fn shard(&self, name: &str) -> MutexGuard<'_, AHashMap<Arc<str>, usize>> {
        let index = self.hasher.hash_one(name) as usize % SHARDS;
        // A panic aborts the process, so a poisoned lock is never seen.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of names with a count.
    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut shard = self.tally.shard(&self.name);
        if let Some(count) = shard.get_mut(&*self.name) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&*self.name);
            }
        }
    }
}

/// One worker's view of the users' allocation quota, which is shared by all workers.
#[derive(Clone)]
pub(crate) struct UserQuota {
    users: Arc<Tally>,
    refused: Arc<AtomicBool>,
}

impl UserQuota {
    pub(crate) fn new(users: Arc<Tally>) -> Self {
        Self { users, refused: Arc::default() }
    }

    /// Whether the quota has refused a user since the last call.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h30_what_is_dropped_is_given_back_and_leaves_nothing() {
        let tally = Tally::new(2);
        let (one, two) = (tally.acquire("alice").unwrap(), tally.acquire("alice").unwrap());
        assert!(tally.acquire("alice").is_none());
        let other = tally.acquire("bob").unwrap();
        assert_eq!(tally.len(), 2);
        drop(one);
        assert!(tally.acquire("alice").is_some());
        drop((two, other));
        assert_eq!(tally.len(), 0);
        assert!(Tally::new(0).acquire("alice").is_none());
    }
}
