//! A fixed-size table of allowances by address prefix, which evicts what carries the least
//! information.

use crate::allowance::{Allowance, Budget, Tick};

/// Number of entries in a set.
const WAYS: usize = 8;
/// Number of sets in a table.
const SETS: usize = 1024;
/// How long a prefix stays known after a proof, in seconds.
const KNOWN_FOR: u32 = 600;

/// The allowance of one prefix.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// A part of the prefix's hash; 0 marks a free entry.
    tag: u32,
    pub(crate) allowance: Allowance,
    /// When a client there last proved its address.
    pub(crate) proven: Tick,
}

impl Place {
    pub(crate) fn is_known(&self, now: Tick) -> bool {
        self.proven.is_within(KNOWN_FOR, now)
    }
}

/// The prefixes of one width. A full set evicts the entry with the largest remaining allowance,
/// because it carries the least information; a known prefix is evicted only if all others of the
/// set are known, too.
#[derive(Debug)]
pub(crate) struct PrefixTable(Box<[Place]>);

impl PrefixTable {
    pub(crate) fn new() -> Self {
        Self(vec![Place::default(); SETS * WAYS].into())
    }

    #[cfg(test)]
    pub(crate) fn places(&self) -> &[Place] {
        &self.0
    }

    /// The entry of the prefix with this keyed hash, found or newly taken.
    pub(crate) fn place(&mut self, hash: u64, budget: &Budget, now: Tick) -> &mut Place {
        let first = (hash as usize % SETS) * WAYS;
        let set = &mut self.0[first..first + WAYS];
        let tag = (hash >> 32) as u32 | 1;
        let found = set.iter().position(|place| place.tag == tag);
        let at = found.unwrap_or_else(|| {
            let at = dispensable(set, budget, now);
            set[at] =
                Place { tag, allowance: Allowance::full(budget, now), proven: Tick::default() };
            at
        });
        &mut set[at]
    }
}

fn dispensable(set: &[Place], budget: &Budget, now: Tick) -> usize {
    let worth = |place: &Place| match place.tag {
        0 => (false, Tick::default(), i32::MIN),
        _ if place.is_known(now) => (true, place.proven, 0),
        _ => (false, Tick::default(), -place.allowance.left(budget, now).max(-i32::MAX)),
    };
    let (at, _) =
        set.iter().enumerate().min_by_key(|(_, place)| worth(place)).expect("a set has places");
    at
}
