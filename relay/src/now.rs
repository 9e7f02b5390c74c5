use std::time::Duration;

/// The time of a batch of inputs, sampled once by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Since an arbitrary start, never backwards: for everything that expires here.
    pub monotonic: Duration,
    /// Since 1970: for what was dated elsewhere (nonces, REST credentials).
    pub unix: Duration,
}

impl Now {
    /// The monotonic time plus `by`.
    pub(crate) fn after(self, by: Duration) -> Duration {
        self.monotonic.saturating_add(by)
    }

    /// Unix time in seconds.
    pub(crate) fn unix_seconds(self) -> u64 {
        self.unix.as_secs()
    }
}
