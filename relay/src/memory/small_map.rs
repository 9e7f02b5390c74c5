//! A map for one or two entries that also holds thousands.

use std::hash::Hash;

use ahash::AHashMap;
use smallvec::SmallVec;

/// Maximum number of entries that are searched one by one, which is faster than hashing so few.
const LINEAR: usize = 8;

/// A map that is nearly always tiny: up to two entries are stored in place, up to eight in a list,
/// more in a hash table.
#[derive(Clone, Debug)]
pub(crate) enum SmallMap<K, V> {
    List(SmallVec<[(K, V); 2]>),
    Table(Box<AHashMap<K, V>>),
}

impl<K: Copy + Eq + Hash, V> SmallMap<K, V> {
    pub(crate) fn new() -> Self {
        Self::List(SmallVec::new())
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Table(table) => table.len(),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::List(list) => list.iter().find(|(k, _)| k == key).map(|(_, value)| value),
            Self::Table(table) => table.get(key),
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self {
            Self::List(list) => {
                if let Some((_, present)) = list.iter_mut().find(|(k, _)| *k == key) {
                    *present = value;
                } else if list.len() < LINEAR {
                    list.push((key, value));
                } else {
                    let mut table: AHashMap<K, V> = list.drain(..).collect();
                    table.insert(key, value);
                    *self = Self::Table(Box::new(table));
                }
            }
            Self::Table(table) => {
                table.insert(key, value);
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            Self::List(list) => {
                list.iter().position(|(k, _)| k == key).map(|at| list.swap_remove(at).1)
            }
            Self::Table(table) => table.remove(key),
        }
    }

    /// Keeps the entries for which `keep` returns `true`. A table that has become small turns into
    /// a list again.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        match self {
            Self::List(list) => list.retain(|(key, value)| keep(key, value)),
            Self::Table(table) => {
                table.retain(|key, value| keep(key, value));
                if table.len() <= LINEAR / 2 {
                    *self = Self::List(table.drain().collect());
                }
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (list, table) = match self {
            Self::List(list) => (Some(list.iter()), None),
            Self::Table(table) => (None, Some(table.iter())),
        };
        list.into_iter()
            .flatten()
            .map(|(key, value)| (key, value))
            .chain(table.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_map_at_every_size() {
        let mut map = SmallMap::new();
        for key in 0..100u32 {
            map.insert(key, key);
            map.insert(key, key + 1);
            assert_eq!(
                (map.len(), map.get(&key), map.get(&(key + 1))),
                (key as usize + 1, Some(&(key + 1)), None)
            );
        }
        assert_eq!(map.iter().map(|(key, _)| key).sum::<u32>(), (0..100).sum::<u32>());
        map.retain(|key, _| *key < 3);
        assert!(matches!(map, SmallMap::List(_)));
        assert_eq!((map.remove(&1), map.remove(&1), map.len()), (Some(2), None, 2));
    }
}
