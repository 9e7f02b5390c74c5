//! The timer wheel that visits each allocation in time.

use std::time::Duration;

use crate::memory::chunks::Chunks;

/// Number of slots, one per second: more than the maximum lifetime, so that nearly nothing is
/// visited too early.
const SLOTS: usize = 4096;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// A timer wheel with slots of one second: inserting and expiring are O(1). The slots are lists
/// through one table, so that its memory is that of the maximum number of entries that ever waited
/// at a time, in whatever slots.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    /// The first node of each slot's list.
    slots: Box<[u32]>,
    nodes: Chunks<Node<T>>,
    /// The first of the free nodes.
    free: u32,
    /// The next second that has not been expired yet.
    cursor: u64,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Node<T> {
    entry: T,
    next: u32,
}

impl<T: Copy> Wheel<T> {
    pub(crate) fn new() -> Self {
        Self {
            slots: vec![NONE; SLOTS].into(),
            nodes: Chunks::new(),
            free: NONE,
            cursor: 0,
            len: 0,
        }
    }

    /// Wakes `entry` at the first whole second not before `at`. If `at` is beyond the end of the
    /// wheel, the entry wakes there, and has to be inserted again. Returns the second.
    pub(crate) fn insert(&mut self, now: Duration, at: Duration, entry: T) -> u64 {
        if self.len == 0 {
            self.cursor = self.cursor.max(now.as_secs());
        }
        let second = second(at).clamp(self.cursor, self.cursor + SLOTS as u64 - 1);
        let head = &mut self.slots[(second % SLOTS as u64) as usize];
        let node = Node { entry, next: *head };
        match self.nodes.get_mut(self.free as usize) {
            Some(free) => {
                *head = std::mem::replace(&mut self.free, free.next);
                *free = node;
            }
            None => {
                *head = self.nodes.len() as u32;
                self.nodes.push(node);
            }
        }
        self.len += 1;
        second
    }

    /// The next entry whose second has come, with that second.
    pub(crate) fn expire(&mut self, now: Duration) -> Option<(u64, T)> {
        while self.cursor <= now.as_secs() {
            if self.len == 0 {
                self.cursor = now.as_secs() + 1;
                return None;
            }
            let head = &mut self.slots[(self.cursor % SLOTS as u64) as usize];
            if let Some(node) = self.nodes.get_mut(*head as usize) {
                let first = std::mem::replace(head, node.next);
                node.next = std::mem::replace(&mut self.free, first);
                self.len -= 1;
                return Some((self.cursor, node.entry));
            }
            self.cursor += 1;
        }
        None
    }

    /// Number of waiting entries, void ones included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// When to call [`expire`](Self::expire) again; `None` when nothing waits.
    pub(crate) fn next(&self) -> Option<Duration> {
        (self.len > 0).then(|| Duration::from_secs(self.cursor))
    }
}

/// The first whole second not before `at`.
pub(crate) fn second(at: Duration) -> u64 {
    at.as_secs() + u64::from(at.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_wake_at_their_second_and_never_before() {
        let mut wheel = Wheel::new();
        let at = Duration::from_millis;
        wheel.insert(at(0), at(2500), "b");
        wheel.insert(at(0), at(1000), "a");
        wheel.insert(at(0), at(9_000_000), "far");
        assert_eq!(wheel.next(), Some(at(0)));
        assert_eq!(wheel.expire(at(999)), None);
        assert_eq!(wheel.expire(at(1000)), Some((1, "a")));
        assert_eq!(wheel.expire(at(2999)), None);
        assert_eq!(wheel.expire(at(10_000)), Some((3, "b")));
        assert_eq!(wheel.expire(at(4_000_000)), None);
        let (second, entry) = wheel.expire(at(9_000_000)).unwrap();
        assert_eq!(
            (second, entry, wheel.next()),
            (4095, "far", None),
            "at the wheel's end, to be inserted again"
        );
        wheel.insert(at(9_000_000), at(0), "late");
        assert_eq!(wheel.expire(at(9_000_000)).map(|(_, entry)| entry), Some("late"));
    }

    #[test]
    fn h33_a_burst_that_is_visited_again_and_again_takes_no_more_memory() {
        let mut wheel = Wheel::new();
        let at = Duration::from_secs;
        for entry in 0..10_000 {
            wheel.insert(at(0), at(60), entry);
        }
        for second in (60..6000).step_by(60) {
            let due: Vec<_> = std::iter::from_fn(|| wheel.expire(at(second))).collect();
            assert_eq!((due.len(), wheel.len()), (10_000, 0));
            for (_, entry) in due {
                wheel.insert(at(second), at(second + 60), entry);
            }
        }
        assert_eq!(wheel.nodes.len(), 10_000);
    }
}
