//! The clock of a process: sampled once a batch and passed down, never read below the loop.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The origin of a process's monotonic time. Copied to every worker, so that their samples compare.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Time since the [`Clock`] was started; it never goes back.
    pub monotonic: Duration,
    /// Time since 1970-01-01T00:00:00Z; it may jump when the host's clock is set.
    pub unix: Duration,
}

impl Clock {
    /// Starts the clock: `monotonic` is zero now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Reads both clocks.
    pub fn sample(&self) -> Sample {
        Sample {
            monotonic: self.start.elapsed(),
            unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_starts_at_zero_and_advances() {
        let clock = Clock::start();
        let first = clock.sample();
        std::thread::sleep(Duration::from_millis(3));
        let second = clock.sample();
        assert!(first.monotonic < Duration::from_secs(1));
        assert!(second.monotonic - first.monotonic >= Duration::from_millis(3));
        assert!(second.unix > Duration::from_secs(1_700_000_000));
    }
}
