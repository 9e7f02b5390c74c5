//! The changes that a directory outside the process has not been told yet.

use std::collections::VecDeque;

use crate::ids::AllocationId;

/// Number of changes that are remembered beyond the number of allocations; with more, the whole
/// directory is compared.
const SPARE: usize = 4096;

/// A change since the last write to the directory (see [`crate::Server::poll_change`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Too many changes: write every allocation, and delete all other records.
    Everything,
    /// The allocation of this record has ended.
    Ended(u64),
    /// This allocation is new or has changed: export it.
    Changed(AllocationId),
}

/// State, not events: an allocation that changes twice is noted once, so that an outage of any
/// length takes memory for the live allocations only.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Whether changes are noted at all.
    tracked: bool,
    changed: VecDeque<AllocationId>,
    ended: VecDeque<u64>,
    everything: bool,
    /// How many at the front of `changed` are left of the latest offer.
    offered: usize,
}

impl Changes {
    pub(crate) fn new(tracked: bool) -> Self {
        Self { tracked, ..Self::default() }
    }

    /// Notes a change; `unwritten` is the allocation's own mark that it is noted already, `live`
    /// the number of allocations.
    pub(crate) fn changed(&mut self, id: AllocationId, unwritten: &mut bool, live: usize) {
        if !self.tracked || self.everything || *unwritten {
            return;
        }
        // Allocations that ended since they changed are in it, too, until they are polled.
        if self.changed.len() >= live.saturating_add(SPARE) {
            self.give_up();
        } else {
            *unwritten = true;
            self.changed.push_back(id);
        }
    }

    /// Notes an end, with the number of allocations that go on.
    pub(crate) fn ended(&mut self, record: u64, live: usize) {
        if !self.tracked || self.everything {
            return;
        }
        if self.ended.len() >= live.saturating_add(SPARE) {
            self.give_up();
        } else {
            self.ended.push_back(record);
        }
    }

    /// Replaces all notes by [`Change::Everything`], until it is polled.
    fn give_up(&mut self) {
        (self.changed, self.ended) = (VecDeque::new(), VecDeque::new());
        (self.everything, self.offered) = (true, 0);
    }

    /// Notes all live allocations, for a comparison, which also covers the changes that were given
    /// up. Ends stay noted.
    pub(crate) fn offer(&mut self, live: impl Iterator<Item = AllocationId>) {
        if self.tracked {
            self.changed.clear();
            self.changed.extend(live);
            (self.everything, self.offered) = (false, self.changed.len());
        }
    }

    /// How many allocations of the latest offer have not been polled yet.
    pub(crate) fn offer_left(&self) -> usize {
        self.offered
    }

    /// The next change. The caller clears the mark of the changed allocation, if it still lives, or
    /// of all allocations.
    pub(crate) fn next(&mut self) -> Option<Change> {
        if std::mem::take(&mut self.everything) {
            return Some(Change::Everything);
        }
        if let Some(record) = self.ended.pop_front() {
            return Some(Change::Ended(record));
        }
        let id = self.changed.pop_front()?;
        self.offered = self.offered.saturating_sub(1);
        Some(Change::Changed(id))
    }

    /// Number of waiting changes. Changes that were given up count as one: they have to be polled,
    /// too.
    pub(crate) fn len(&self) -> usize {
        self.changed.len() + self.ended.len() + usize::from(self.everything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h33_an_outage_costs_memory_for_what_lives_only() {
        let id = |slot| AllocationId { worker: 0, slot, generation: 0 };
        let mut changes = Changes::new(true);
        let mut most = 0;
        for record in 0..1_000_000u32 {
            // It is made, changes, and ends: its place among the changed is left behind.
            changes.changed(id(record), &mut false, 10);
            changes.ended(record.into(), 10);
            most = most.max(changes.len());
            assert!(changes.len() > 0, "what was given up is asked for only while it counts");
        }
        assert!(most <= 2 * (SPARE + 10), "{most} changes");
        assert_eq!((changes.next(), changes.next()), (Some(Change::Everything), None));
        let mut unwritten = false;
        changes.changed(id(7), &mut unwritten, 10);
        changes.changed(id(7), &mut unwritten, 10);
        changes.ended(8, 10);
        assert_eq!(
            (changes.next(), changes.next(), changes.next()),
            (Some(Change::Ended(8)), Some(Change::Changed(id(7))), None)
        );
    }

    #[test]
    fn h33_polling_too_little_does_not_make_it_grow() {
        let mut changes = Changes::new(true);
        for record in 0..100_000u32 {
            changes.changed(AllocationId { worker: 0, slot: record, generation: 0 }, &mut false, 1);
            changes.ended(record.into(), 1);
            // What has ended comes first, so that nothing of what has changed is ever taken.
            assert!(changes.next().is_some());
            assert!(changes.len() <= 2 * (SPARE + 1));
        }
    }
    #[test]
    fn h47_an_offer_covers_what_was_given_up_and_counts_down_to_its_end() {
        let id = |slot| AllocationId { worker: 0, slot, generation: 0 };
        let mut changes = Changes::new(true);
        (0..10_000u64).for_each(|record| changes.ended(record, 3));
        changes.offer((0..3).map(id));
        changes.ended(9, 3);
        changes.changed(id(3), &mut false, 4);
        let mut told = Vec::new();
        while let Some(change) = changes.next() {
            told.push((change, changes.offer_left(), changes.len()));
        }
        let changed = |slot, left, waiting| (Change::Changed(id(slot)), left, waiting);
        assert_eq!(
            told,
            [
                (Change::Ended(9), 3, 4),
                changed(0, 2, 3),
                changed(1, 1, 2),
                changed(2, 0, 1),
                changed(3, 0, 0)
            ]
        );
    }

    #[test]
    fn h47_an_offer_that_is_given_up_is_told_as_such() {
        let mut changes = Changes::new(true);
        changes.offer((0..3).map(|slot| AllocationId { worker: 0, slot, generation: 0 }));
        (0..10_000u64).for_each(|record| changes.ended(record, 3));
        assert_eq!((changes.offer_left(), changes.len()), (0, 1));
        assert_eq!(
            (changes.next(), changes.next(), changes.len()),
            (Some(Change::Everything), None, 0)
        );
    }
}
