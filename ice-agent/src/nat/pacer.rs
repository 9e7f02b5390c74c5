//! "A client SHOULD NOT generate more than ten new STUN transactions per second and SHOULD pacer
//! them such that the retransmission timeouts (RTOs) do not synchronize the retransmissions of each
//! transaction" (RFC 5780 §5).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Minimum time between the starts of two transactions.
const INTERVAL: Duration = Duration::from_millis(100);

/// When the next transaction may start. Clones share the schedule, since both families are measured
/// at the same time.
#[derive(Debug, Clone, Default)]
pub(super) struct Pacer(Arc<Mutex<Option<Instant>>>);

impl Pacer {
    /// Reserves the next slot, which is now or soon.
    pub(super) fn slot(&self, now: Instant) -> Instant {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = next.map_or(now, |next| next.max(now));
        *next = Some(slot + INTERVAL);
        slot
    }

    /// Waits until a transaction may start.
    pub(super) async fn next(&self) {
        sleep_until(self.slot(Instant::now())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rfc5780_5_ten_transactions_a_second_of_both_families_and_no_two_at_once() {
        let start = Instant::now();
        let pacer = Pacer::default();
        let family = async |pacer: Pacer| {
            let mut began = Vec::new();
            while start.elapsed() < Duration::from_secs(1) {
                pacer.next().await;
                began.push(start.elapsed().as_millis());
            }
            began
        };
        let (one, other) = tokio::join!(family(pacer.clone()), family(pacer));
        let mut began = [one, other].concat();
        began.sort_unstable();
        assert!(began.windows(2).all(|two| two[1] - two[0] >= 100), "{began:?}");
        assert_eq!(began.iter().filter(|at| **at < 1000).count(), 10, "{began:?}");
        // After a pause there is no wait.
        assert_eq!(began[0], 0);
    }
}
