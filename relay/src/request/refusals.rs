//! Budgets of refusals: a client that repeats a refused request without pause gets silence.

use std::time::Duration;

use ahash::RandomState;

use crate::five_tuple::FiveTuple;

/// Maximum number of refusals that a client is sent at once: eight for each of eight refused peers,
/// as pion and `ice-agent` ask.
const BURST: u16 = 64;

/// Number of budgets that clients without an allocation share, by their 5-tuples.
const SHARED: usize = 2048;

/// The refusals that a client may still be sent: [`BURST`], and one more per second once some are
/// spent. Clients that repeat a refused request without pause then get silence: ice4j does so after
/// a 403, libwebrtc and libnice after a 438.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    spent: u16,
    /// When it was last spent from, in seconds of the monotonic clock.
    second: u32,
}

impl Budget {
    /// Takes one refusal out of the budget; `false` when it is empty.
    pub(crate) fn spend(&mut self, now: Duration) -> bool {
        let second = now.as_secs() as u32;
        let refilled = u16::try_from(second.wrapping_sub(self.second)).unwrap_or(u16::MAX);
        (self.spent, self.second) = (self.spent.saturating_sub(refilled), second);
        let is_left = self.spent < BURST;
        self.spent += u16::from(is_left);
        is_left
    }
}

/// The budgets of clients without an allocation. Their number is fixed, so that no client can make
/// it grow.
#[derive(Debug)]
pub(crate) struct SharedBudgets {
    budgets: Box<[Budget]>,
    hasher: RandomState,
}

impl SharedBudgets {
    pub(crate) fn new() -> Self {
        Self { budgets: vec![Budget::default(); SHARED].into(), hasher: RandomState::new() }
    }

    pub(crate) fn of(&mut self, client: &FiveTuple) -> &mut Budget {
        let place = self.hasher.hash_one(client) as usize % self.budgets.len();
        &mut self.budgets[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h33_a_budget_is_spent_at_once_and_comes_back_one_a_second() {
        let mut budget = Budget::default();
        let mut answered = |millis: u64, asked: usize| {
            (0..asked).filter(|_| budget.spend(Duration::from_millis(millis))).count()
        };
        assert_eq!((answered(5_000, 1000), answered(5_999, 1000)), (64, 0));
        assert_eq!(
            (answered(6_000, 1000), answered(9_500, 1000), answered(9_999, 1000)),
            (1, 3, 0)
        );
        assert_eq!(answered(1_000_000, 1000), 64, "it holds no more than it did");
        assert_eq!(answered(u64::from(u32::MAX) * 1000, 1000), 64);
    }
}
