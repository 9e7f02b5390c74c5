//! Values that many records share, stored once.

use std::hash::Hash;
use std::num::NonZeroU32;

use ahash::AHashMap;

/// Few values that many records share: each is stored once, and counted, until its last holder
/// releases it.
#[derive(Debug)]
pub(crate) struct Interned<T> {
    places: Vec<(T, u32)>,
    free: Vec<u32>,
    by_value: AHashMap<T, u32>,
}

/// The name of an interned value, of four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(NonZeroU32);

impl Name {
    fn of(place: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(place))
    }

    #[inline]
    fn place(self) -> usize {
        (self.0.get() - 1) as usize
    }
}

impl<T: Copy + Eq + Hash> Interned<T> {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), by_value: AHashMap::new() }
    }

    /// Adds a holder of `value`.
    pub(crate) fn hold(&mut self, value: T) -> Name {
        let place = self.by_value.get(&value).copied().unwrap_or_else(|| {
            let place = self.free.pop().unwrap_or(self.places.len() as u32);
            match self.places.get_mut(place as usize) {
                Some(free) => *free = (value, 0),
                None => self.places.push((value, 0)),
            }
            self.by_value.insert(value, place);
            place
        });
        self.places[place as usize].1 += 1;
        Name::of(place)
    }

    /// Removes a holder; the last one frees the place.
    pub(crate) fn release(&mut self, name: Name) {
        let (value, holders) = &mut self.places[name.place()];
        *holders -= 1;
        if *holders == 0 {
            self.by_value.remove(value);
            self.free.push(name.place() as u32);
        }
    }

    #[inline]
    pub(crate) fn value(&self, name: Name) -> &T {
        &self.places[name.place()].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h33_a_value_without_a_holder_frees_its_place() {
        let mut interned = Interned::new();
        let (one, again, two) = (interned.hold("a"), interned.hold("a"), interned.hold("b"));
        assert_eq!(
            (one == again, one == two, interned.value(one), interned.value(two)),
            (true, false, &"a", &"b")
        );
        interned.release(one);
        assert_eq!(interned.hold("a"), again);
        (0..2).for_each(|_| interned.release(again));
        for round in 0..1000u32 {
            let name = interned.hold(if round % 2 == 0 { "c" } else { "d" });
            interned.release(name);
        }
        assert_eq!(
            (interned.places.len(), interned.by_value.len(), interned.value(two)),
            (2, 1, &"b")
        );
    }
}
