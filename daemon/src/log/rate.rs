//! A limit on lines per second, for events that a stranger can cause.

use std::sync::atomic::{AtomicU64, Ordering};

/// Admits a maximum number of lines per second and counts the others.
pub(super) struct RateLimit {
    per_second: u64,
    /// The second (32 bits) and the lines written in it (32 bits), in one word.
    window: AtomicU64,
    unreported: AtomicU64,
    total: AtomicU64,
}

impl RateLimit {
    pub(super) const fn new(per_second: u32) -> Self {
        RateLimit {
            per_second: per_second as u64,
            window: AtomicU64::new(0),
            unreported: AtomicU64::new(0),
            total: AtomicU64::new(0),
        }
    }

    /// Whether a line may be written in `second`. A line that may not is counted.
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

    /// Number of suppressed lines since the last call.
    pub(super) fn take_suppressed(&self) -> u64 {
        self.unreported.swap(0, Ordering::Relaxed)
    }

    /// Number of all suppressed lines.
    pub(super) fn total_suppressed(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_limited_and_counted() {
        let bound = RateLimit::new(3);
        let written = (0..1_000).filter(|_| bound.admit(7)).count();
        assert_eq!((written, bound.take_suppressed()), (3, 997));
        assert!(bound.admit(8));
        assert_eq!(bound.take_suppressed(), 0);
        assert_eq!(bound.total_suppressed(), 997);
    }
}
