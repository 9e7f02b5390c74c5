//! A bound on lines a second, for events that a stranger can cause.

use std::sync::atomic::{AtomicU64, Ordering};

/// At most so many a second; the rest is counted until somebody asks.
pub(super) struct RateBound {
    per_second: u64,
    /// The second (32 bits) and the lines written in it (32 bits), in one word.
    window: AtomicU64,
    unreported: AtomicU64,
    total: AtomicU64,
}

impl RateBound {
    pub(super) const fn new(per_second: u32) -> Self {
        RateBound {
            per_second: per_second as u64,
            window: AtomicU64::new(0),
            unreported: AtomicU64::new(0),
            total: AtomicU64::new(0),
        }
    }

    /// Whether a line may be written in `second`; if not, it is counted.
    pub(super) fn admit(&self, second: u64) -> bool {
        let second = second & u64::from(u32::MAX);
        let step = |window: u64| match window >> 32 == second {
            true if window & u64::from(u32::MAX) >= self.per_second => None,
            true => Some(window + 1),
            false => Some(second << 32 | 1),
        };
        let admitted = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).is_ok();
        if !admitted {
            self.unreported.fetch_add(1, Ordering::Relaxed);
            self.total.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// How many were suppressed since the last call.
    pub(super) fn take_suppressed(&self) -> u64 {
        self.unreported.swap(0, Ordering::Relaxed)
    }

    /// How many were suppressed in all.
    pub(super) fn total_suppressed(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_and_counted() {
        let bound = RateBound::new(3);
        let written = (0..1_000).filter(|_| bound.admit(7)).count();
        assert_eq!((written, bound.take_suppressed()), (3, 997));
        assert!(bound.admit(8));
        assert_eq!(bound.take_suppressed(), 0);
        assert_eq!(bound.total_suppressed(), 997);
    }
}
