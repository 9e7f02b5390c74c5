use std::time::Duration;

use crate::memory::moment::Moment;

/// The time of a batch of inputs, sampled once by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Since an arbitrary start, never backwards: for everything that expires here.
    pub monotonic: Duration,
    /// Since 1970: for what was dated elsewhere (nonces, REST credentials).
    pub unix: Duration,
}

impl Now {
    /// The moment `by` later.
    pub(crate) fn after(self, by: Duration) -> Moment {
        Moment::after(self.monotonic, by)
    }

    /// The moment that it is.
    #[inline]
    pub(crate) fn moment(self) -> Moment {
        Moment::of(self.monotonic)
    }

    /// Unix time in seconds.
    pub(crate) fn unix_seconds(self) -> u64 {
        self.unix.as_secs()
    }
}
