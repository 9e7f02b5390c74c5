//! The rate limit of new handshakes.

use std::time::{Duration, Instant};

/// Maximum burst, as the time in which the rate allows it.
const BURST: Duration = Duration::from_secs(1);

/// A token bucket, kept as the time until which the handshakes so far are paid for.
#[derive(Debug, Default)]
pub(super) struct Rate {
    paid_until: Option<Instant>,
}

impl Rate {
    /// Whether one more may begin.
    pub(super) fn take(&mut self, now: Instant, per_second: u32) -> bool {
        let paid_until = self.paid_until.map_or(now, |at| at.max(now));
        if paid_until.duration_since(now) >= BURST {
            return false;
        }
        self.paid_until = Some(paid_until + Duration::from_secs(1) / per_second.max(1));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h13_a_second_s_worth_comes_at_once_and_then_as_many_as_the_rate_allows() {
        let mut rate = Rate::default();
        let start = Instant::now();
        let taken =
            |rate: &mut Rate, now: Instant| (0..1_000).filter(|_| rate.take(now, 100)).count();
        assert_eq!(taken(&mut rate, start), 100);
        assert_eq!(taken(&mut rate, start + Duration::from_millis(500)), 50);
        assert_eq!(taken(&mut rate, start + Duration::from_secs(60)), 100);
    }
}
