//! The records that the previous process left: which can be restored, which could not, and why.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use causeway_store::{Accounting, Record, RecordId, Restored, Transport};

use crate::accounts::{self, account_of_record};
use crate::records::{Left, from_store, unix_now};

/// The reason of a record whose port, 5-tuple or quota is taken. The record stays in the store,
/// since it may belong to the server that has them.
pub(crate) const TAKEN: &str = "taken";

/// Counts restored and lost records, for the log, accounting and metrics.
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

    /// Returns the records that the relay can take, and the ids of those that have certainly ended.
    /// Only allocations over UDP can be restored, because other connections ended with the process.
    /// Each record that is lost gets its last accounting entry.
    pub(crate) fn sort(&self, restored: Restored) -> (Vec<Left>, Vec<RecordId>) {
        // A record that cannot be read, or has expired in the store, yields no accounting entry.
        // One that is not read yet may still get one.
        for (reason, records) in &restored.not_restored {
            *self.reasons().entry(reason).or_default() += records;
        }
        let unread = restored.not_restored.get("unread").copied().unwrap_or_default();
        let all: u64 = restored.not_restored.values().sum();
        self.spool.lose(all.saturating_sub(unread + restored.ended.len() as u64));
        restored.ended.iter().for_each(|record| self.account(record, "expired"));
        let unix = unix_now();
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

    /// Counts a restored record.
    pub(crate) fn add(&self) {
        self.restored.fetch_add(1, Relaxed);
    }

    /// Counts a record that cannot be restored, and makes its last accounting entry.
    pub(crate) fn lose(&self, record: &Record, reason: &'static str) {
        *self.reasons().entry(reason).or_default() += 1;
        self.account(record, reason);
    }

    pub(crate) fn restored(&self) -> u64 {
        self.restored.load(Relaxed)
    }

    /// Number of records that could not be restored, by reason.
    pub(crate) fn lost(&self) -> BTreeMap<&'static str, u64> {
        self.reasons().clone()
    }

    /// Logs the counts, unless there was no record.
    pub(crate) fn report(&self) {
        let (restored, lost) = (self.restored(), self.lost());
        let not_restored: u64 = lost.values().sum();
        if restored > 0 || not_restored > 0 {
            tracing::info!(
                restored,
                not_restored,
                reasons = ?lost,
                "allocations of the previous process restored"
            );
        }
    }

    /// Makes the last accounting entry of an allocation that is not restored.
    fn account(&self, record: &Record, reason: &'static str) {
        let account = account_of_record(unix_now(), &self.realm, record, reason);
        accounts::log_entry(&account, None, None);
        self.spool.push(account);
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        // A panic aborts the process. Where it does not, in tests, the counts are consistent
        // between any two statements.
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
