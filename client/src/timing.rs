//! The timeouts of requests.

use std::time::Duration;

/// How long a request is repeated and waited for. The default is the RFC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// RTO: the wait before the first retransmission, doubled each time; also the minimum of a
    /// measured RTO (RFC 8489 §6.2.1).
    pub rto: Duration,
    /// The maximum wait before a retransmission. RFC 8489 §6.2.1 doubles the wait without limit,
    /// which is the default. A program that tests a path has no other traffic to make room for, and
    /// gets its result sooner in even steps.
    pub longest: Duration,
    /// Rc: the maximum number of times that a request is sent (RFC 8489 §6.2.1).
    pub requests: u32,
    /// Rm: the wait for an answer to the last transmission, in RTOs (RFC 8489 §6.2.1).
    pub last_wait: u32,
    /// Ti: how long to wait for an answer over a reliable transport (RFC 8489 §6.2.2).
    pub reliable: Duration,
}

impl Timing {
    /// How long a request over UDP lasts until it fails: the sum of its waits.
    #[must_use]
    pub fn over_udp(self) -> Duration {
        let doubled =
            std::iter::successors(Some(self.rto), |interval| Some(interval.saturating_mul(2)));
        let repeated = doubled
            .take(self.requests.saturating_sub(1) as usize)
            .map(|interval| self.capped(interval));
        repeated.fold(self.rto.saturating_mul(self.last_wait), Duration::saturating_add)
    }

    /// The wait before a retransmission, when doubling has reached `interval`.
    pub(crate) fn capped(self, interval: Duration) -> Duration {
        interval.min(self.longest.max(self.rto))
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            rto: Duration::from_millis(500),
            longest: Duration::MAX,
            requests: 7,
            last_wait: 16,
            reliable: Duration::from_millis(39_500),
        }
    }
}
