//! The figures of one run.

use std::time::Duration;

/// The figures of one [`run`](crate::load::Fleet::run).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Datagrams (or requests) sent.
    pub sent: u64,
    /// Datagrams that arrived (or requests that were answered) once, unchanged, at the correct
    /// client and from the correct address. Echo counts the round trip.
    pub delivered: u64,
    /// Datagrams that arrived changed.
    pub corrupt: u64,
    /// Datagrams that arrived at another client, on another channel, or from a wrong address.
    pub misdelivered: u64,
    /// Datagrams that arrived more than once.
    pub duplicates: u64,
    /// Delivered datagrams that arrived after a later one of the same client and the same
    /// direction.
    pub late: u64,
    /// Bytes of application data delivered.
    pub bytes: u64,
    /// Time from the first send to the last arrival.
    pub elapsed: Duration,
    /// Latencies from send to arrival.
    pub latencies: Latencies,
}

impl Measured {
    /// Datagrams or requests that were not delivered correctly.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.delivered)
    }

    /// The rate in deliveries a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        if self.elapsed.is_zero() {
            0.0
        } else {
            self.delivered as f64 / self.elapsed.as_secs_f64()
        }
    }
}

/// The percentiles of the latencies; all zero if nothing arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// The median, p50.
    pub p50: Duration,
    /// The 90th percentile.
    pub p90: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The 99.9th percentile.
    pub p999: Duration,
    /// The maximum latency.
    pub max: Duration,
}
