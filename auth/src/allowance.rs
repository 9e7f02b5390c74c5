//! Token buckets for bytes that may be sent to unproven addresses, and the small clock that they
//! use.

use std::time::Duration;

/// A time of a monotonic clock in sixteenths of a second, counted from 1; 0 stands for "never".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u32);

impl Tick {
    const A_SECOND: u32 = 16;

    /// Converts a time; does not overflow for eight years after the clock's start.
    pub(crate) fn of(now: Duration) -> Self {
        let sixteenths = u64::from(Self::A_SECOND) * now.as_secs()
            + u64::from(now.subsec_nanos() / (1_000_000_000 / Self::A_SECOND));
        Self(u32::try_from(sixteenths).unwrap_or(u32::MAX - 1).saturating_add(1))
    }

    /// Whether this time is at most `seconds` before `now`; `false` for "never".
    pub(crate) fn is_within(self, seconds: u32, now: Self) -> bool {
        self != Self::default() && now.0.saturating_sub(self.0) <= seconds * Self::A_SECOND
    }
}

/// How an allowance grows: up to `burst` bytes, by `rate` bytes a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    burst: i32,
    rate: u32,
}

impl Budget {
    pub(crate) fn new(burst: u32, rate: u32) -> Self {
        Self { burst: i32::try_from(burst).unwrap_or(i32::MAX), rate }
    }
}

/// The number of bytes that may still be sent: a token bucket that one message may overdraw, so
/// that a small message waits as long as a large one.
///
/// The bucket starts full and fills with time. Both are a loan, paid back out of the requests: a
/// flood that lasts has brought at least the bytes that it received, and only clients that come
/// rarely keep the gift.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    left: i32,
    owed: i32,
    as_of: Tick,
}

impl Allowance {
    pub(crate) fn full(budget: &Budget, now: Tick) -> Self {
        Self { left: budget.burst, owed: budget.burst, as_of: now }
    }

    /// Adds the bytes for the time that has passed.
    pub(crate) fn pass(&mut self, budget: &Budget, now: Tick) {
        let elapsed = now.0.saturating_sub(self.as_of.0);
        let grown = u64::from(elapsed) * u64::from(budget.rate) / u64::from(Tick::A_SECOND);
        if grown > 0 {
            self.as_of = now;
            let grown = i32::try_from(grown).unwrap_or(i32::MAX);
            self.left = self.left.saturating_add(grown).min(budget.burst);
            self.owed = self.owed.saturating_add(grown).min(budget.burst);
        }
    }

    /// Adds a request of `request` bytes: three quarters of them pay back the debt, and an eighth
    /// is never spent.
    pub(crate) fn earn(&mut self, budget: &Budget, request: usize) {
        let request = i32::try_from(request).unwrap_or(i32::MAX);
        let paid = self.owed.min(request / 4 * 3);
        self.owed -= paid;
        self.left = self.left.saturating_add(request - paid.max(request / 8 + 1)).min(budget.burst);
    }

    /// Adds a request whose source address is proven: half of it pays back the debt.
    pub(crate) fn earn_proven(&mut self, budget: &Budget, request: usize) {
        let request = i32::try_from(request).unwrap_or(i32::MAX);
        let paid = self.owed.min(request / 2);
        self.owed -= paid;
        self.left = self.left.saturating_add(request - paid).min(budget.burst);
    }

    pub(crate) fn is_left(&self) -> bool {
        self.left >= 0
    }

    pub(crate) fn spend(&mut self, price: usize) {
        self.left = self.left.saturating_sub(i32::try_from(price).unwrap_or(i32::MAX));
    }

    /// The number of bytes available at `now`.
    pub(crate) fn left(mut self, budget: &Budget, now: Tick) -> i32 {
        self.pass(budget, now);
        self.left
    }
}
