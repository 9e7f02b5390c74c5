//! A histogram of latencies with a bounded error.

use std::time::Duration;

use crate::load::Latencies;

/// Number of steps between a power of two and the next: a value is known to 1/32.
const STEPS: u32 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();
const BUCKETS: usize = ((64 - STEP_BITS) * STEPS + STEPS) as usize;

/// Counts latencies, in nanoseconds, without keeping them.
pub(crate) struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; BUCKETS].into_boxed_slice(), count: 0, max: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.buckets.fill(0);
        (self.count, self.max) = (0, 0);
    }

    pub(crate) fn add(&mut self, nanoseconds: u64) {
        self.buckets[bucket(nanoseconds)] += 1;
        self.count += 1;
        self.max = self.max.max(nanoseconds);
    }

    pub(crate) fn latencies(&self) -> Latencies {
        let at = |thousandths| Duration::from_nanos(self.at(thousandths));
        Latencies {
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p999: at(999),
            max: Duration::from_nanos(self.max),
        }
    }

    /// The smallest value that this many thousandths of all values do not exceed, rounded to the
    /// end of its bucket.
    fn at(&self, thousandths: u64) -> u64 {
        let rank = (self.count * thousandths).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return end(bucket).min(self.max);
            }
        }
        0
    }
}

fn bucket(value: u64) -> usize {
    let exponent = (u64::BITS - 1 - value.max(1).leading_zeros()).max(STEP_BITS) - STEP_BITS;
    (exponent * STEPS) as usize + (value >> exponent) as usize
}

/// The maximum value of a bucket.
fn end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let steps = u64::from(STEPS);
    if bucket < 2 * steps {
        return bucket;
    }
    let exponent = bucket / steps - 1;
    let step = u128::from(bucket % steps + steps + 1);
    u64::try_from((step << exponent) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_lies_in_its_bucket() {
        for value in (0..100_000).chain((20..64).map(|bit| 1 << bit)).chain([u64::MAX]) {
            let index = bucket(value);
            assert!(index < BUCKETS, "{value}");
            assert!(value <= end(index), "{value} is beyond its bucket");
            assert!(index == 0 || end(index - 1) < value, "{value} belongs to the one before");
        }
    }

    #[test]
    fn percentiles_of_a_thousand() {
        let mut histogram = Histogram::new();
        for value in 1..=1_000 {
            histogram.add(value * 1_000);
        }
        let found = histogram.latencies();
        for (found, exact) in
            [(found.p50, 500), (found.p90, 900), (found.p99, 990), (found.p999, 999)]
        {
            let exact = exact * 1_000;
            assert!(
                (exact..exact + exact / 32 + 1).contains(&(found.as_nanos() as u64)),
                "{found:?} for {exact}"
            );
        }
        assert_eq!(found.max, Duration::from_millis(1));
        histogram.clear();
        assert_eq!(histogram.latencies(), Latencies::default());
    }

    #[test]
    fn one_value_is_every_percentile() {
        let mut histogram = Histogram::new();
        histogram.add(777_777);
        let found = histogram.latencies();
        assert_eq!(
            (found.p50, found.p999, found.max),
            (found.max, found.max, Duration::from_nanos(777_777))
        );
    }
}
