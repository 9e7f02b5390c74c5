//! Accounting entries, and the bounded spool in which they wait for the store.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::record::{RecordId, Traffic, Transport};

/// The occasion of an accounting entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The allocation has been created.
    Start,
    /// The allocation is live; the counters show the traffic so far.
    Interim,
    /// The allocation has ended.
    End,
}

/// An accounting entry: the usage of one allocation. The counters are totals, not differences, so
/// that an entry delivered twice, or one lost before the last, changes no bill: the latest entry of
/// a record counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Time of the entry, in Unix milliseconds.
    pub at: u64,
    /// The occasion of the entry.
    pub event: Event,
    /// Id of the allocation's record.
    pub record: RecordId,
    /// The value of USERNAME, as the client sent it.
    pub username: String,
    /// Realm of the server.
    pub realm: String,
    /// Transport address of the client.
    pub client: SocketAddr,
    /// Transport between the client and the server.
    pub transport: Transport,
    /// The relayed addresses, as peers see them.
    pub relayed: Vec<SocketAddr>,
    /// Application data relayed since the allocation was created.
    pub traffic: Traffic,
    /// Age of the allocation.
    pub duration: Duration,
    /// Why the allocation ended, or why this entry was made out of turn; a constant of the program.
    pub reason: &'static str,
}

impl Account {
    /// Approximate memory use in bytes.
    fn size(&self) -> usize {
        size_of::<Self>()
            + self.username.len()
            + self.realm.len()
            + self.relayed.len() * size_of::<SocketAddr>()
    }
}

/// The spool of accounting entries that wait to be written: the only queue of the store, bounded by
/// entries and by bytes. A full spool drops its oldest entry and counts it as lost. Cheap to clone;
/// all clones share one spool.
#[derive(Clone, Debug)]
pub struct Accounting(Arc<Mutex<Spool>>);

#[derive(Debug)]
struct Spool {
    entries: VecDeque<Account>,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
    /// Entries removed at the front so far, which numbers the first remaining one.
    gone: u64,
    lost: u64,
}

impl Accounting {
    /// Creates a spool with a maximum number of entries and of bytes.
    #[must_use]
    pub fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Spool {
            entries: VecDeque::new(),
            bytes: 0,
            max_entries,
            max_bytes,
            gone: 0,
            lost: 0,
        })))
    }

    /// Adds an entry. Never waits for the store.
    pub fn push(&self, entry: Account) {
        let mut spool = self.spool();
        spool.bytes += entry.size();
        spool.entries.push_back(entry);
        while spool.entries.len() > spool.max_entries || spool.bytes > spool.max_bytes {
            spool.pop();
            spool.lost += 1;
        }
    }

    /// Counts entries that were lost before they reached the spool.
    pub fn lose(&self, entries: u64) {
        self.spool().lost += entries;
    }

    /// Number of entries that wait to be written.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.spool().entries.len()
    }

    /// Number of entries lost since the process started.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.spool().lost
    }

    /// Returns the oldest entries, and the number of the first for [`written`](Self::written).
    pub(crate) fn peek(&self, limit: usize) -> (u64, Vec<Account>) {
        let spool = self.spool();
        (spool.gone, spool.entries.iter().take(limit).cloned().collect())
    }

    /// Removes the `count` entries from number `first` on, unless they were lost meanwhile.
    pub(crate) fn written(&self, first: u64, count: usize) {
        let mut spool = self.spool();
        while spool.gone < first + count as u64 && spool.pop() {}
    }

    fn spool(&self) -> std::sync::MutexGuard<'_, Spool> {
        // A panic aborts the process. Where it does not, in tests, the spool is consistent between
        // any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spool {
    fn pop(&mut self) -> bool {
        let Some(entry) = self.entries.pop_front() else { return false };
        self.bytes -= entry.size();
        self.gone += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64) -> Account {
        let address = "192.0.2.1:1".parse().unwrap();
        Account {
            at,
            event: Event::End,
            record: RecordId(1),
            username: "alice".into(),
            realm: "example.org".into(),
            client: address,
            transport: Transport::Udp,
            relayed: vec![address],
            traffic: Traffic::default(),
            duration: Duration::from_secs(1),
            reason: "expired",
        }
    }

    fn times(accounting: &Accounting) -> Vec<u64> {
        accounting.peek(100).1.iter().map(|entry| entry.at).collect()
    }

    #[test]
    fn h45_a_full_spool_loses_its_oldest_entries_and_counts_them() {
        let by_number = Accounting::new(3, usize::MAX);
        (0..5).for_each(|at| by_number.push(entry(at)));
        assert_eq!((times(&by_number), by_number.lost()), (vec![2, 3, 4], 2));

        let by_bytes = Accounting::new(100, 2 * entry(0).size());
        (0..5).for_each(|at| by_bytes.push(entry(at)));
        assert_eq!((times(&by_bytes), by_bytes.lost()), (vec![3, 4], 3));
    }

    #[test]
    fn what_was_lost_while_it_was_being_written_is_not_taken_out_twice() {
        let accounting = Accounting::new(3, usize::MAX);
        (0..3).for_each(|at| accounting.push(entry(at)));
        let (first, entries) = accounting.peek(2);
        assert_eq!(entries.len(), 2);
        accounting.push(entry(3));
        accounting.written(first, 2);
        assert_eq!(times(&accounting), vec![2, 3], "0 was lost, 1 was written");
    }
}
