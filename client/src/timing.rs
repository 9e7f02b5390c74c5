use std::time::Duration;

/// How patiently a request is repeated and waited for. The default is the RFC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// RTO: the first wait before a request is repeated, doubled each time; also the least that a
    /// measured one may be (RFC 8489 §6.2.1).
    pub rto: Duration,
    /// The longest wait before a request is repeated. RFC 8489 §6.2.1 doubles the wait without
    /// end, which is the default; a program that tests a path has no other traffic to make
    /// room for, and finds out sooner in even steps.
    pub longest: Duration,
    /// Rc: how often a request is sent in all (RFC 8489 §6.2.1).
    pub requests: u32,
    /// Rm: how many RTOs are waited for an answer to the last one (RFC 8489 §6.2.1).
    pub last_wait: u32,
    /// Ti: how long an answer is waited for over a reliable transport (RFC 8489 §6.2.2).
    pub reliable: Duration,
}

impl Timing {
    /// How long a request over UDP lasts until it is given up: all its waits together.
    #[must_use]
    pub fn over_udp(self) -> Duration {
        let doubled =
            std::iter::successors(Some(self.rto), |interval| Some(interval.saturating_mul(2)));
        let repeated = doubled
            .take(self.requests.saturating_sub(1) as usize)
            .map(|interval| self.capped(interval));
        repeated.fold(self.rto.saturating_mul(self.last_wait), Duration::saturating_add)
    }

    /// The wait before a request is repeated, where the doubling has come to `interval`.
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
