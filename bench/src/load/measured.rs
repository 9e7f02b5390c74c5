use std::time::Duration;

/// What one [`run`](crate::load::Fleet::run) showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Datagrams (or requests) that left.
    pub sent: u64,
    /// Those that arrived (or were answered) once, whole, in the right place and from the right
    /// address. Echo counts the whole way round.
    pub delivered: u64,
    /// Arrived with other bytes than were sent.
    pub corrupt: u64,
    /// Arrived in another's place, on another's channel, or from a wrong address.
    pub misdelivered: u64,
    /// Arrived again.
    pub duplicates: u64,
    /// Of the delivered: those that arrived after a later datagram of the same client and the same
    /// direction.
    pub late: u64,
    /// Bytes of application data in the delivered.
    pub bytes: u64,
    /// From the first send to the last arrival.
    pub elapsed: Duration,
    /// From send to arrival.
    pub latencies: Latencies,
}

impl Measured {
    /// Those of which nothing right came.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.delivered)
    }

    /// Deliveries a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        if self.elapsed.is_zero() {
            0.0
        } else {
            self.delivered as f64 / self.elapsed.as_secs_f64()
        }
    }
}

/// The latencies' percentiles; all zero when nothing arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// The median.
    pub p50: Duration,
    /// Of ten, nine were faster.
    pub p90: Duration,
    /// Of 100, 99.
    pub p99: Duration,
    /// Of 1,000, 999.
    pub p999: Duration,
    /// The slowest.
    pub max: Duration,
}
