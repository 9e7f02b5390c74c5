//! A quota of allocations per user.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use causeway_relay::Ledger;

type Held = Rc<RefCell<HashMap<String, usize>>>;

/// A quota of allocations per user, and the count of those that are held.
#[derive(Clone, Debug)]
pub struct Quota {
    limit: usize,
    held: Held,
}

/// One allocation of a user; dropped, it no longer counts.
#[derive(Debug)]
pub struct Guard {
    name: String,
    held: Held,
}

impl Quota {
    /// Allows each user at most `limit` allocations.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, held: Held::default() }
    }

    /// Number of allocations that the user of this name holds.
    #[must_use]
    pub fn held(&self, name: &str) -> usize {
        self.held.borrow().get(name).copied().unwrap_or(0)
    }

    /// Number of allocations that all users hold.
    #[must_use]
    pub fn total(&self) -> usize {
        self.held.borrow().values().sum()
    }
}

impl Ledger for Quota {
    type Guard = Guard;

    fn try_acquire(&self, quota_name: &str) -> Option<Guard> {
        let mut held = self.held.borrow_mut();
        let count = held.entry(quota_name.to_owned()).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Guard { name: quota_name.to_owned(), held: Rc::clone(&self.held) })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(count) = self.held.borrow_mut().get_mut(&self.name) {
            *count -= 1;
        }
    }
}
