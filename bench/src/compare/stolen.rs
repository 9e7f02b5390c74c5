//! The processor time that the host takes from this machine.

use std::fs;
use std::time::{Duration, Instant};

/// `/proc/stat` counts in hundredths of a second, whatever the kernel's own tick is.
const TICK: Duration = Duration::from_millis(10);

/// Measures the share of the processors that the host gives to its other guests while this one
/// wants them.
pub(crate) struct Stolen {
    start: Instant,
    before: u64,
}

impl Stolen {
    pub(crate) fn watch() -> Self {
        Self { start: Instant::now(), before: ticks() }
    }

    /// The share of one processor taken so far; zero on a machine that is no guest.
    pub(crate) fn share(&self) -> f64 {
        let taken = ticks().saturating_sub(self.before) as f64 * TICK.as_secs_f64();
        taken / self.start.elapsed().max(TICK).as_secs_f64()
    }
}

fn ticks() -> u64 {
    fs::read_to_string("/proc/stat").ok().and_then(|text| steal(&text)).unwrap_or(0)
}

/// The steal time of all processors in `/proc/stat`: the eighth number of its first line
/// (proc_stat(5)).
fn steal(text: &str) -> Option<u64> {
    text.strip_prefix("cpu ")?.lines().next()?.split_whitespace().nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_the_eighth_number() {
        assert_eq!(
            steal(
                "cpu  3192741 688594 1043764 1990211 189462 0 82799 111336 7 8\ncpu0 1 2 3 4 5 6 7 9 9 9\n"
            ),
            Some(111_336)
        );
        assert_eq!((steal("cpu 1 2 3\n"), steal("")), (None, None));
    }
}
