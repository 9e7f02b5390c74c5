use std::time::Duration;

/// A slot keeps room for so many entries when it is empty; more is given back, or a burst would leave its size behind in slot after slot.
const KEPT: usize = 64;

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
        let second = second(at).clamp(self.cursor, self.cursor + SLOTS as u64 - 1);
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
            let slot = &mut self.slots[(self.cursor % SLOTS as u64) as usize];
            if let Some(entry) = slot.pop() {
                self.len -= 1;
                if slot.is_empty() {
                    slot.shrink_to(KEPT);
                }
                return Some((self.cursor, entry));
            }
            self.cursor += 1;
        }
        None
    }

    /// Entries that wait, void ones included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// When [`expire`](Self::expire) is worth calling again; `None` when nothing waits.
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
        assert_eq!((second, entry, wheel.next()), (4095, "far", None), "at the wheel's end, to be inserted again");
        wheel.insert(at(9_000_000), at(0), "late");
        assert_eq!(wheel.expire(at(9_000_000)).map(|(_, entry)| entry), Some("late"));
    }

    #[test]
    fn h33_a_burst_that_is_visited_again_and_again_leaves_no_room_behind() {
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
        let room: usize = wheel.slots.iter().map(Vec::capacity).sum();
        assert!(room < 10_000 * 2 + SLOTS * KEPT, "room for {room} entries");
        assert!(wheel.slots.iter().filter(|slot| slot.capacity() > KEPT).count() <= 2);
    }
}
