/// Counts what one user holds across all workers. An allocation owns the guard that it was granted;
/// dropping the guard, on whatever path, gives it back (H30).
pub trait Ledger {
    /// What an allocation holds.
    type Guard;

    /// One more allocation for the user of this name; `None` when there are as many as allowed: 486
    /// (RFC 8656 §7.2).
    fn try_acquire(&self, quota_name: &str) -> Option<Self::Guard>;
}

/// No quota.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl Ledger for Unlimited {
    type Guard = ();

    fn try_acquire(&self, _: &str) -> Option<()> {
        Some(())
    }
}
