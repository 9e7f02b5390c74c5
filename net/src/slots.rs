//! Tables whose keys may outlive their entries: a stale key finds nothing, never a newer entry.

use std::fmt;
use std::marker::PhantomData;

/// Names one entry of a table: an index, and the generation of the entry at that index.
pub struct Key<T> {
    index: u32,
    generation: u32,
    of: PhantomData<fn(T)>,
}

/// Bits of a generation, so that a key fits beside a kind in one epoll event.
const GENERATION_MASK: u32 = 0x0fff_ffff;

impl<T> Key<T> {
    /// The key as one number, below 2^60: for logs, and for tables keyed by integers.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The key of [`to_bits`](Self::to_bits).
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            generation: (bits >> 32) as u32 & GENERATION_MASK,
            of: PhantomData,
        }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}
impl<T> Eq for Key<T> {}
impl<T> std::hash::Hash for Key<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.to_bits().hash(state);
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

#[derive(Debug)]
struct Slot<E> {
    generation: u32,
    entry: Option<E>,
}

/// A slab with generations. `T` marks its keys, so that a stream's key does not open a socket.
#[derive(Debug)]
pub(crate) struct Slots<T, E> {
    slots: Vec<Slot<E>>,
    free: Vec<u32>,
    of: PhantomData<fn(T)>,
}

impl<T, E> Slots<T, E> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), of: PhantomData }
    }

    pub(crate) fn insert(&mut self, entry: E) -> Key<T> {
        self.insert_with(|_| entry)
    }

    /// Inserts an entry that contains its own key.
    pub(crate) fn insert_with(&mut self, entry: impl FnOnce(Key<T>) -> E) -> Key<T> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, entry: None });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        let key = Key { index, generation: slot.generation, of: PhantomData };
        slot.entry = Some(entry(key));
        key
    }

    pub(crate) fn get(&self, key: Key<T>) -> Option<&E> {
        let slot = self.slots.get(key.index as usize)?;
        (slot.generation == key.generation).then_some(slot.entry.as_ref()).flatten()
    }

    pub(crate) fn get_mut(&mut self, key: Key<T>) -> Option<&mut E> {
        let slot = self.slots.get_mut(key.index as usize)?;
        (slot.generation == key.generation).then_some(slot.entry.as_mut()).flatten()
    }

    pub(crate) fn remove(&mut self, key: Key<T>) -> Option<E> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let entry = slot.entry.take()?;
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        self.free.push(key.index);
        Some(entry)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many indexes there are, taken or free: the bound of [`at`](Self::at).
    pub(crate) fn places(&self) -> usize {
        self.slots.len()
    }

    /// The entry at `index`, for walks over the table.
    pub(crate) fn at(&self, index: usize) -> Option<(Key<T>, &E)> {
        let slot = self.slots.get(index)?;
        let key = Key { index: index as u32, generation: slot.generation, of: PhantomData };
        Some((key, slot.entry.as_ref()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_never_reaches_the_next_entry_at_its_index() {
        let mut slots: Slots<u8, &str> = Slots::new();
        let old = slots.insert("old");
        assert_eq!(slots.remove(old), Some("old"));
        let new = slots.insert("new");
        assert_eq!(slots.len(), 1);
        assert_eq!(slots.get(old), None);
        assert_eq!(slots.remove(old), None);
        assert_eq!(slots.get(new), Some(&"new"));
        assert_eq!(slots.get_mut(Key::from_bits(new.to_bits())), Some(&mut "new"));
    }
}
