use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::{AHashMap, RandomState};

/// Workers that count different keys meet rarely.
const SHARDS: usize = 16;

/// How many of something each key holds, over all workers, up to a cap. Asked when something is opened, never for a packet; its size is
/// bounded by what is open.
pub(crate) struct Tally<K> {
    shards: [Mutex<AHashMap<K, usize>>; SHARDS],
    hasher: RandomState,
    cap: usize,
}

/// One of what a key holds; given back when it is dropped, whatever path drops it (H30).
pub(crate) struct Held<K: Hash + Eq> {
    tally: Arc<Tally<K>>,
    key: K,
}

impl<K: Hash + Eq + Clone> Tally<K> {
    pub(crate) fn new(cap: usize) -> Arc<Self> {
        Arc::new(Self { shards: Default::default(), hasher: RandomState::new(), cap })
    }

    /// One more for `key`; `None` when it holds as many as it may.
    pub(crate) fn acquire(self: &Arc<Self>, key: K) -> Option<Held<K>> {
        let mut shard = self.shard(&key);
        let count = shard.get(&key).copied().unwrap_or(0);
        if count >= self.cap {
            return None;
        }
        shard.insert(key.clone(), count + 1);
        drop(shard);
        Some(Held { tally: Arc::clone(self), key })
    }
}

impl<K: Hash + Eq> Tally<K> {
    fn shard(&self, key: &K) -> MutexGuard<'_, AHashMap<K, usize>> {
        let index = self.hasher.hash_one(key) as usize % SHARDS;
        // A panic aborts the process, so nobody sees a poisoned lock.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many keys hold something.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

impl<K: Hash + Eq> Drop for Held<K> {
    fn drop(&mut self) {
        let mut shard = self.tally.shard(&self.key);
        if let Some(count) = shard.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.key);
            }
        }
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
    }
}
