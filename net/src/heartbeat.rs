//! A worker's heartbeat, read by health checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Age of the last stamp from which a worker counts as hung, and health checks fail.
pub const HUNG_AFTER: Duration = Duration::from_secs(5);

/// When a worker last began a turn. Clones share the stamp.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// Stamps `now`, a [`Clock`](crate::Clock)'s monotonic time. The loop does, at each turn, at
    /// least once a second.
    pub fn stamp(&self, now: Duration) {
        self.0.store(now.as_millis() as u64, Ordering::Relaxed);
    }

    /// How long ago the last stamp was, at `now` of the same clock. Before the first stamp: the
    /// time since the clock started.
    pub fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }

    /// Whether the worker has not begun a turn for [`HUNG_AFTER`].
    pub fn is_hung(&self, now: Duration) -> bool {
        self.age(now) >= HUNG_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_hung_five_seconds_after_its_last_stamp() {
        let heartbeat = Heartbeat::default();
        let control_side = heartbeat.clone();
        heartbeat.stamp(Duration::from_secs(10));
        assert_eq!(control_side.age(Duration::from_secs(12)), Duration::from_secs(2));
        assert!(!control_side.is_hung(Duration::from_millis(14_999)));
        assert!(control_side.is_hung(Duration::from_secs(15)));
    }
}
