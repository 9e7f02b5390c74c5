//! Monotonic time in four bytes, for the records.

use std::num::NonZeroU32;
use std::time::Duration;

/// Maximum time between now and a [`Moment`]: beyond half a round of the counter, earlier and later
/// could not be told apart.
pub(crate) const HORIZON: Duration = Duration::from_secs(24 * 24 * 3600);

/// A moment of the monotonic clock, in milliseconds. Its four bytes wrap around after 49 days, so
/// it is valid within [`HORIZON`] of now only: everything that expires is visited every minute, and
/// no lifetime is that long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(NonZeroU32);

impl Moment {
    #[inline]
    pub(crate) fn of(time: Duration) -> Self {
        let millis = (time.as_secs() as u32).wrapping_mul(1000).wrapping_add(time.subsec_millis());
        // Counted from 1, so that the clock's start is not zero; the last moment of each round is
        // one millisecond late.
        Self(NonZeroU32::new(millis.wrapping_add(1)).unwrap_or(NonZeroU32::MIN))
    }

    /// The moment `time` after `now`, at most at the horizon.
    pub(crate) fn after(now: Duration, time: Duration) -> Self {
        Self::of(now.saturating_add(time.min(HORIZON)))
    }

    /// Whether this moment is later than `now`.
    #[inline]
    pub(crate) fn is_after(self, now: Self) -> bool {
        self.ahead_of(now) > 0
    }

    /// The time until this moment; zero if it has passed.
    pub(crate) fn left(self, now: Duration) -> Duration {
        Duration::from_millis(u64::try_from(self.ahead_of(Self::of(now))).unwrap_or(0))
    }

    /// This moment as a time of the monotonic clock.
    pub(crate) fn time(self, now: Duration) -> Duration {
        let ahead = i64::from(self.ahead_of(Self::of(now)));
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        Duration::from_millis(u64::try_from(now.saturating_add(ahead)).unwrap_or(0))
    }

    /// Milliseconds from `other` to this moment.
    #[inline]
    fn ahead_of(self, other: Self) -> i32 {
        self.0.get().wrapping_sub(other.0.get()) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_keep_their_order_when_the_milliseconds_wrap_around() {
        let round = Duration::from_millis(1 << 32);
        for now in [
            Duration::ZERO,
            Duration::from_secs(7),
            round - Duration::from_secs(300),
            round,
            3 * round - Duration::from_millis(1),
        ] {
            let expires = Moment::after(now, Duration::from_secs(600));
            let at = |later: Duration| Moment::of(now + later);
            assert!(
                expires.is_after(at(Duration::ZERO))
                    && expires.is_after(at(Duration::from_millis(599_998))),
                "{now:?}"
            );
            assert!(
                !expires.is_after(at(Duration::from_millis(600_001)))
                    && !expires.is_after(at(HORIZON)),
                "{now:?}"
            );
            let (left, time) = (
                expires.left(now + Duration::from_secs(100)),
                expires.time(now + Duration::from_secs(700)),
            );
            assert!(
                left.abs_diff(Duration::from_secs(500)) <= Duration::from_millis(1),
                "{left:?}"
            );
            assert!(
                time.abs_diff(now + Duration::from_secs(600)) <= Duration::from_millis(1),
                "{time:?}"
            );
            assert_eq!(expires.left(now + Duration::from_secs(601)), Duration::ZERO);
        }
        assert!(
            Moment::after(Duration::ZERO, Duration::MAX)
                .is_after(Moment::of(HORIZON - Duration::from_secs(1)))
        );
    }
}
