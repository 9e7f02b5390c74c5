//! Statistics of round-trip times and loss.

use std::time::Duration;

use serde::Serialize;

/// Round-trip times in the order in which the echoes came.
#[derive(Debug, Default)]
pub(super) struct RoundTrips {
    samples: Vec<Duration>,
}

/// Round-trip times in milliseconds, rounded to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RoundTripFigures {
    pub min: f64,
    pub p50: f64,
    /// The 99th percentile; with fewer than 100 samples, the maximum.
    pub p99: f64,
    pub max: f64,
}

impl RoundTrips {
    pub(super) fn push(&mut self, sample: Duration) {
        self.samples.push(sample);
    }

    /// The number of samples.
    #[must_use]
    pub(super) fn count(&self) -> usize {
        self.samples.len()
    }

    /// The figures; `None` without a sample.
    #[must_use]
    pub(super) fn figures(&self) -> Option<RoundTripFigures> {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        let (first, last) = (sorted.first()?, sorted.last()?);
        Some(RoundTripFigures {
            min: milliseconds(*first),
            p50: milliseconds(nearest_rank(&sorted, 50)),
            p99: milliseconds(nearest_rank(&sorted, 99)),
            max: milliseconds(*last),
        })
    }

    /// The jitter in milliseconds: the smoothed estimate of RFC 3550 §6.4.1, over round-trip
    /// instead of one-way times, since the two clocks are not synchronised. `None` with fewer than
    /// two samples.
    #[must_use]
    pub(super) fn jitter(&self) -> Option<f64> {
        if self.samples.len() < 2 {
            return None;
        }
        let jitter = self.samples.windows(2).fold(0.0, |jitter, pair| {
            let difference = pair[1].abs_diff(pair[0]).as_secs_f64() * 1e3;
            jitter + (difference - jitter) / 16.0
        });
        Some(round(jitter))
    }
}

/// The smallest sample that at least `percent` of all samples do not exceed.
fn nearest_rank(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// The loss in per cent, rounded to hundredths; 0 if nothing was sent.
#[must_use]
pub(super) fn loss_percent(sent: u32, received: u32) -> f64 {
    if sent == 0 {
        return 0.0;
    }
    let lost = f64::from(sent.saturating_sub(received));
    (lost / f64::from(sent) * 1e4).round() / 1e2
}

/// A duration in milliseconds, rounded to the microsecond.
#[must_use]
pub(super) fn milliseconds(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1e3)
}

fn round(milliseconds: f64) -> f64 {
    (milliseconds * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(milliseconds: &[u64]) -> RoundTrips {
        RoundTrips { samples: milliseconds.iter().copied().map(Duration::from_millis).collect() }
    }

    #[test]
    fn percentiles_are_samples_not_interpolations() {
        let figures = samples(&(1..=200).rev().collect::<Vec<_>>()).figures().unwrap();
        assert_eq!(figures, RoundTripFigures { min: 1.0, p50: 100.0, p99: 198.0, max: 200.0 });
        let one = samples(&[7]).figures().unwrap();
        assert_eq!((one.p50, one.p99), (7.0, 7.0));
        assert!(samples(&[]).figures().is_none());
    }

    #[test]
    fn jitter_is_zero_when_round_trips_are_equal_and_grows_by_a_sixteenth() {
        assert_eq!(samples(&[5, 5, 5]).jitter(), Some(0.0));
        assert_eq!(samples(&[5, 21]).jitter(), Some(1.0));
        assert_eq!(samples(&[5]).jitter(), None);
    }

    #[test]
    fn loss_is_a_share_of_what_was_sent() {
        assert_eq!(loss_percent(50, 50), 0.0);
        assert_eq!(loss_percent(3, 2), 33.33);
        assert_eq!(loss_percent(50, 0), 100.0);
        assert_eq!(loss_percent(0, 0), 0.0);
        assert_eq!(loss_percent(1, 2), 0.0, "duplicates are no negative loss");
    }
}
