//! The time of an input, on the two clocks that the server needs.

use std::time::Duration;

use crate::memory::moment::Moment;

/// The time of a batch of inputs, sampled once by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Monotonic time since an arbitrary start: for everything that expires here.
    pub monotonic: Duration,
    /// Time since 1970: for values dated elsewhere (nonces, REST credentials).
    pub unix: Duration,
}

impl Now {
    /// The moment `by` after this one.
    pub(crate) fn after(self, by: Duration) -> Moment {
        Moment::after(self.monotonic, by)
    }

    /// The monotonic time as a moment.
    #[inline]
    pub(crate) fn moment(self) -> Moment {
        Moment::of(self.monotonic)
    }

    /// The Unix time in whole seconds.
    pub(crate) fn unix_seconds(self) -> u64 {
        self.unix.as_secs()
    }
}
