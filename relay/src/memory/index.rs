//! A hash table of slot numbers, eight bytes per entry.

/// Minimum number of places of a table that is not empty.
const FEWEST: usize = 16;

/// Slots, found by the hash of the records that they hold: eight bytes per entry, so that a lookup
/// touches one cache line of the table and then the record. The hash must be keyed: a client that
/// could choose colliding 5-tuples would make lookups slow.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// A power of two of places, at most three quarters of them taken. Each entry stands at the
    /// place that its hash names, or behind it.
    places: Box<[Entry]>,
    len: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    hash: u32,
    /// The slot plus one; 0 marks an empty place.
    slot: u32,
}

impl Index {
    /// The slot with this hash for which `is_it` returns `true`.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.position(fold(hash), is_it).map(|at| self.places[at].slot - 1)
    }

    /// Inserts a slot that is not in the table yet.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        if (self.len + 1) * 4 > self.places.len() * 3 {
            self.resize((self.places.len() * 2).max(FEWEST));
        }
        self.put(Entry { hash: fold(hash), slot: slot + 1 });
        self.len += 1;
    }

    /// Removes a slot, if it is in the table.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let Some(mut hole) = self.position(fold(hash), |other| other == slot) else { return };
        self.len -= 1;
        let mask = self.places.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.places[at];
            if entry.slot == 0 {
                break;
            }
            // Entries behind the hole move into it, unless that is before the place that their hash
            // names.
            let (from_home, from_hole) =
                (at.wrapping_sub(entry.hash as usize) & mask, at.wrapping_sub(hole) & mask);
            if from_home >= from_hole {
                self.places[hole] = entry;
                hole = at;
            }
        }
        self.places[hole] = Entry::default();
        if self.places.len() > FEWEST && self.len * 8 < self.places.len() {
            self.resize(self.places.len() / 2);
        }
    }

    #[inline]
    fn position(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let entry = self.places[at];
            if entry.slot == 0 {
                return None;
            }
            if entry.hash == hash && is_it(entry.slot - 1) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    fn put(&mut self, entry: Entry) {
        let mask = self.places.len() - 1;
        let mut at = entry.hash as usize & mask;
        while self.places[at].slot != 0 {
            at = (at + 1) & mask;
        }
        self.places[at] = entry;
    }

    fn resize(&mut self, places: usize) {
        let before = std::mem::replace(&mut self.places, vec![Entry::default(); places].into());
        before.iter().filter(|entry| entry.slot != 0).for_each(|entry| self.put(*entry));
    }
}

/// Folds both halves of a hash: its keyed multiplications have mixed either.
#[inline]
fn fold(hash: u64) -> u32 {
    (hash >> 32) as u32 ^ hash as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that collide often.
    fn hash(slot: u32) -> u64 {
        u64::from(slot % 61 * 7 % 97)
    }

    #[test]
    fn it_finds_its_entries_and_no_others_through_inserts_and_removals() {
        let (mut index, mut random) = (Index::default(), 1u32);
        let mut present = [false; 300];
        for step in 0..60_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let slot = (random >> 8) % 300;
            let place = &mut present[slot as usize];
            // It grows for a while, and shrinks for a while.
            if !*place && (step / 5000 % 2 == 0 || random >> 30 == 0) {
                index.insert(hash(slot), slot);
                *place = true;
            } else if *place {
                index.remove(hash(slot), slot);
                *place = false;
            }
            let probe = random % 300;
            assert_eq!(
                index.find(hash(probe), |other| other == probe),
                present[probe as usize].then_some(probe)
            );
        }
        for slot in 0..300 {
            assert_eq!(
                index.find(hash(slot), |other| other == slot).is_some(),
                present[slot as usize]
            );
            index.remove(hash(slot), slot);
        }
        assert_eq!((index.len, index.places.len()), (0, FEWEST), "h33: it shrinks again");
    }
}
