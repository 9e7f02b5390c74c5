use std::collections::VecDeque;

use crate::allocations::AllocationId;

/// So many ended records are remembered beside one for each allocation; beyond that the directory is compared as a whole.
const ENDED: usize = 4096;

/// What has changed since it was last written to the directory (see [`crate::Server::poll_change`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// So much that only writing every allocation, and deleting what else is there, brings the directory up to date.
    Everything,
    /// The allocation of this record has ended.
    Ended(u64),
    /// This allocation is new or another: export it.
    Changed(AllocationId),
}

/// State, not events: an allocation that changes twice stands here once, and an outage of any length costs memory for the allocations that
/// there are, no more.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Whether anybody wants to know.
    tracked: bool,
    changed: VecDeque<AllocationId>,
    ended: VecDeque<u64>,
    everything: bool,
}

impl Changes {
    pub(crate) fn new(tracked: bool) -> Self {
        Self { tracked, ..Self::default() }
    }

    /// Notes a change; `unwritten` is the allocation's own mark that it is noted already.
    pub(crate) fn changed(&mut self, id: AllocationId, unwritten: &mut bool) {
        if self.tracked && !*unwritten {
            *unwritten = true;
            self.changed.push_back(id);
        }
    }

    /// Notes an end, with the number of allocations that go on.
    pub(crate) fn ended(&mut self, record: u64, live: usize) {
        if !self.tracked || self.everything {
            return;
        }
        if self.ended.len() >= ENDED.max(live) {
            self.ended.clear();
            self.everything = true;
        } else {
            self.ended.push_back(record);
        }
    }

    /// The next change; the caller takes the mark off a changed allocation, if it still lives.
    pub(crate) fn next(&mut self) -> Option<Change> {
        if std::mem::take(&mut self.everything) {
            return Some(Change::Everything);
        }
        let ended = self.ended.pop_front().map(Change::Ended);
        ended.or_else(|| self.changed.pop_front().map(Change::Changed))
    }

    /// How much waits to be written.
    pub(crate) fn len(&self) -> usize {
        self.changed.len() + self.ended.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_costs_memory_for_what_lives_only() {
        let id = AllocationId { worker: 0, slot: 7, generation: 0 };
        let mut changes = Changes::new(true);
        let mut unwritten = false;
        for record in 0..1_000_000 {
            changes.changed(id, &mut unwritten);
            changes.ended(record, 10);
        }
        assert!(changes.len() <= ENDED + 1);
        assert_eq!((changes.next(), changes.next(), changes.next()), (Some(Change::Everything), Some(Change::Changed(id)), None));
    }
}
