//! The deadlines of a worker's connections, in the order of time.

use std::collections::BTreeMap;
use std::time::Duration;

/// Deadlines by time, each with the key of what it belongs to. A deadline that is moved or cancelled
/// leaves nothing behind, so the size is bounded by the number of keys.
#[derive(Debug)]
pub struct Deadlines<K> {
    pending: BTreeMap<Deadline, K>,
    /// Number of deadlines set so far.
    set: u64,
}

/// A deadline that was set: its monotonic time, and a number that distinguishes deadlines of one
/// moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    at: Duration,
    number: u64,
}

impl Deadline {
    /// The monotonic time of the deadline.
    #[must_use]
    pub fn at(self) -> Duration {
        self.at
    }
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self { pending: BTreeMap::new(), set: 0 }
    }
}

impl<K: Copy> Deadlines<K> {
    /// Sets a deadline for `key`. One that the key already has must be [cancelled](Self::cancel) by
    /// the caller.
    pub fn set(&mut self, at: Duration, key: K) -> Deadline {
        let deadline = Deadline { at, number: self.set };
        self.set += 1;
        self.pending.insert(deadline, key);
        deadline
    }

    /// Removes a deadline; one that has been [taken](Self::take_due) already is ignored.
    pub fn cancel(&mut self, deadline: Deadline) {
        self.pending.remove(&deadline);
    }

    /// The time of the next deadline.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.pending.first_key_value().map(|(deadline, _)| deadline.at)
    }

    /// Removes the first deadline that has passed at `now`, and returns its key.
    pub fn take_due(&mut self, now: Duration) -> Option<K> {
        let first = self.pending.first_entry()?;
        (first.key().at <= now).then(|| first.remove())
    }

    /// The number of deadlines that are pending.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether no deadline is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn deadlines_are_taken_in_the_order_of_time_and_each_once() {
        let mut deadlines = Deadlines::default();
        deadlines.set(3 * SECOND, 'c');
        deadlines.set(SECOND, 'a');
        deadlines.set(SECOND, 'b');
        let cancelled = deadlines.set(2 * SECOND, 'x');
        deadlines.cancel(cancelled);
        assert_eq!((deadlines.len(), deadlines.next()), (3, Some(SECOND)));
        assert_eq!(deadlines.take_due(Duration::ZERO), None);
        let due: Vec<char> = std::iter::from_fn(|| deadlines.take_due(2 * SECOND)).collect();
        assert_eq!((due, deadlines.next()), (vec!['a', 'b'], Some(3 * SECOND)));
        assert_eq!((deadlines.take_due(3 * SECOND), deadlines.is_empty()), (Some('c'), true));
    }
}
