//! The records that the process before this one left, and their restoration.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use causeway_store::{Accounting, Record, RecordId, Restored, Transport};

use crate::accounts::{self, account_of_record};
use crate::records::{Left, from_store};

/// The reason of a record whose port, 5-tuple or quota is not free. It stays in the store: the
/// server that has them may be the one that it belongs to.
pub(crate) const TAKEN: &str = "taken";

/// The outcome of restoring, for the log, the accounts and the metrics.
pub(crate) struct Restoration {
    realm: String,
    spool: Accounting,
    restored: AtomicU64,
    lost: Mutex<BTreeMap<&'static str, u64>>,
}

impl Restoration {
    pub(crate) fn new(realm: &str, spool: Accounting) -> Self {
        Self { realm: realm.to_owned(), spool, restored: AtomicU64::new(0), lost: Mutex::default() }
    }

    /// The records that the relay can take: of clients on UDP, whose path has not ended with the
    /// process. The others have their last account. And those that have ended for certain.
    pub(crate) fn sort(&self, restored: Restored) -> (Vec<Left>, Vec<RecordId>) {
        // Of a record that cannot be read, or is gone with its allocation, no account can be made.
        // What is not read yet may still have one.
        for (reason, records) in &restored.not_restored {
            *self.reasons().entry(reason).or_default() += records;
        }
        let unread = restored.not_restored.get("unread").copied().unwrap_or_default();
        let all: u64 = restored.not_restored.values().sum();
        self.spool.lose(all.saturating_sub(unread + restored.ended.len() as u64));
        restored.ended.iter().for_each(|record| self.account(record, "expired"));
        let unix = unix();
        let (mut left, mut ended) = (Vec::new(), Vec::new());
        for record in restored.records {
            match from_store(&record, unix) {
                _ if record.five_tuple.transport != Transport::Udp => {
                    ended.push(record.id);
                    self.lose(&record, "connection");
                }
                None => self.lose(&record, "unknown_key"),
                Some(allocation) => left.push(Left { record, allocation }),
            }
        }
        (left, ended)
    }

    /// One was brought back.
    pub(crate) fn add(&self) {
        self.restored.fetch_add(1, Relaxed);
    }

    /// One cannot be brought back.
    pub(crate) fn lose(&self, record: &Record, reason: &'static str) {
        *self.reasons().entry(reason).or_default() += 1;
        self.account(record, reason);
    }

    pub(crate) fn restored(&self) -> u64 {
        self.restored.load(Relaxed)
    }

    /// How many could not be brought back, by reason.
    pub(crate) fn lost(&self) -> BTreeMap<&'static str, u64> {
        self.reasons().clone()
    }

    /// Says how restoring went.
    pub(crate) fn report(&self) {
        let (restored, lost) = (self.restored(), self.lost());
        let not_restored: u64 = lost.values().sum();
        if restored > 0 || not_restored > 0 {
            tracing::info!(restored, not_restored, reasons = ?lost, "allocations of the process before this one");
        }
    }

    /// The last account of an allocation that does not go on.
    fn account(&self, record: &Record, reason: &'static str) {
        let account = account_of_record(unix(), &self.realm, record, reason);
        accounts::tell(&account, None, None);
        self.spool.push(account);
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        // A panic aborts the process; where it does not, in tests, the counts are whole between two
        // statements.
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
