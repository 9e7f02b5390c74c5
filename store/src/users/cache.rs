//! A bounded cache whose values can be outdated all at once.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Values with the time at which they were learned. When it is full, the oldest one is evicted.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    capacity: usize,
    entries: HashMap<K, Entry<V>>,
    by_age: BTreeMap<u64, K>,
    next: u64,
    /// Values with a lower number may be outdated.
    current: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    learned: Instant,
    number: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, entries: HashMap::new(), by_age: BTreeMap::new(), next: 0, current: 0 }
    }

    /// The value, if it was learned within `age` and is not outdated.
    pub(super) fn find(&self, key: &K, age: Duration, now: Instant) -> Option<V> {
        let is_current = self.entries.get(key)?.number >= self.current;
        self.find_stale(key, age, now).filter(|_| is_current)
    }

    /// The value, if it was learned within `age`, even if it is outdated.
    pub(super) fn find_stale(&self, key: &K, age: Duration, now: Instant) -> Option<V> {
        let entry = self.entries.get(key)?;
        (now.saturating_duration_since(entry.learned) < age).then(|| entry.value.clone())
    }

    /// Marks every value as outdated.
    pub(super) fn outdate(&mut self) {
        self.current = self.next;
    }

    pub(super) fn insert(&mut self, key: K, value: V, now: Instant) {
        self.remove(&key);
        self.by_age.insert(self.next, key.clone());
        self.entries.insert(key, Entry { value, learned: now, number: self.next });
        self.next += 1;
        if self.entries.len() > self.capacity
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_age.remove(&entry.number);
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.by_age.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h45_it_never_holds_more_than_its_capacity_and_forgets_the_oldest() {
        let (mut cache, now) = (Cache::new(3), Instant::now());
        for key in 0..10 {
            cache.insert(key, key, now);
            cache.insert(8, 80, now);
        }
        assert_eq!((cache.len(), cache.by_age.len()), (3, 3));
        let found: Vec<_> =
            (0..10).filter_map(|key| cache.find(&key, Duration::from_secs(1), now)).collect();
        assert_eq!(found, [7, 80, 9]);
    }

    #[test]
    fn what_is_too_old_is_not_found() {
        let (mut cache, now) = (Cache::new(3), Instant::now());
        cache.insert("alice", 1, now);
        let age = Duration::from_secs(60);
        assert_eq!(cache.find(&"alice", age, now + Duration::from_secs(59)), Some(1));
        assert_eq!(cache.find(&"alice", age, now + Duration::from_secs(60)), None);
        cache.outdate();
        assert_eq!(
            (cache.find(&"alice", age, now), cache.find_stale(&"alice", age, now)),
            (None, Some(1))
        );
        assert_eq!(cache.find_stale(&"alice", age, now + Duration::from_secs(60)), None);
        cache.insert("alice", 2, now);
        assert_eq!(cache.find(&"alice", age, now), Some(2));
        cache.clear();
        assert_eq!((cache.find(&"alice", age, now), cache.by_age.len()), (None, 0));
    }
}
