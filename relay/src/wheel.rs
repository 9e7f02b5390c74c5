use std::time::Duration;

/// One slot a second; more than the longest lifetime, so that nearly nothing is visited before its time.
const SLOTS: usize = 4096;

/// A timer wheel with slots of one second: inserting and expiring are O(1), whatever the number of entries.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    slots: Vec<Vec<T>>,
    /// The next second that has not been expired yet.
    cursor: u64,
    len: usize,
}

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        Self { slots: std::iter::repeat_with(Vec::new).take(SLOTS).collect(), cursor: 0, len: 0 }
    }

    /// Wakes `entry` at the first whole second not before `at`; later than the wheel is long it wakes at its end, and is to be inserted
    /// again. The second at which it wakes.
    pub(crate) fn insert(&mut self, now: Duration, at: Duration, entry: T) -> u64 {
        if self.len == 0 {
            self.cursor = self.cursor.max(now.as_secs());
        }
        let second = at.as_secs() + u64::from(at.subsec_nanos() > 0);
        let second = second.clamp(self.cursor, self.cursor + SLOTS as u64 - 1);
        self.slots[(second % SLOTS as u64) as usize].push(entry);
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
            if let Some(entry) = self.slots[(self.cursor % SLOTS as u64) as usize].pop() {
                self.len -= 1;
                return Some((self.cursor, entry));
            }
            self.cursor += 1;
        }
        None
    }

    /// When [`expire`](Self::expire) is worth calling again; `None` when nothing waits.
    pub(crate) fn next(&self) -> Option<Duration> {
        (self.len > 0).then(|| Duration::from_secs(self.cursor))
    }
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
        assert_eq!((second, entry, wheel.next()), (4095, "far", None), "at the wheel's end, to be inserted again");
        wheel.insert(at(9_000_000), at(0), "late");
        assert_eq!(wheel.expire(at(9_000_000)).map(|(_, entry)| entry), Some("late"));
    }
}
