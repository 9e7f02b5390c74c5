//! Waiting for a condition, with a time limit.

use std::thread;
use std::time::{Duration, Instant};

/// Time between two checks of a condition.
pub(crate) const POLL: Duration = Duration::from_millis(2);

/// Checks `ready` until it is true or the time is over; its last answer.
#[must_use = "the condition may never have become true"]
pub fn until(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if ready() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_checked_until_it_holds() {
        let mut checks = 0;
        let held = until(Duration::from_secs(60), || {
            checks += 1;
            checks == 3
        });
        assert!(held && checks == 3);
    }

    #[test]
    fn a_condition_that_never_holds_ends_with_the_time() {
        assert!(!until(Duration::from_millis(5), || false));
        assert!(until(Duration::ZERO, || true), "it is checked at least once");
    }
}
