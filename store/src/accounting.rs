use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::record::{RecordId, Traffic, Transport};

/// When an entry is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has been made.
    Start,
    /// The allocation goes on; the counters are what it has relayed so far.
    Interim,
    /// It has ended.
    End,
}

/// What an allocation has used. The counters are totals, not differences, so that an entry that is
/// delivered twice, or a lost one before the last, changes no bill: the latest entry of a record
/// counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// When, in Unix milliseconds.
    pub at: u64,
    /// On which occasion.
    pub event: Event,
    /// Which allocation.
    pub record: RecordId,
    /// The user's name, as the client gave it.
    pub username: String,
    /// The realm.
    pub realm: String,
    /// The client.
    pub client: SocketAddr,
    /// What the client talks to the server over.
    pub transport: Transport,
    /// The relayed addresses, as peers see them.
    pub relayed: Vec<SocketAddr>,
    /// Since it was made.
    pub traffic: Traffic,
    /// How long it has lived.
    pub duration: Duration,
    /// Why the entry is made, where it is not a matter of course: a constant of the program.
    pub reason: &'static str,
}

impl Account {
    /// About how much memory it takes.
    fn size(&self) -> usize {
        size_of::<Self>()
            + self.username.len()
            + self.realm.len()
            + self.relayed.len() * size_of::<SocketAddr>()
    }
}

/// The spool of accounting entries that wait to be written: the one queue in the store, and bounded
/// by number and by bytes. When it is full the oldest entry goes and is counted as lost. Cheap to
/// clone; all clones are one spool.
#[derive(Clone, Debug)]
pub struct Accounting(Arc<Mutex<Spool>>);

#[derive(Debug)]
struct Spool {
    entries: VecDeque<Account>,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
    /// Entries that have left at the front since the beginning: names the first that is left.
    gone: u64,
    lost: u64,
}

impl Accounting {
    /// A spool of so many entries and bytes at the most.
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

    /// Adds an entry; never waits for the store.
    pub fn push(&self, entry: Account) {
        let mut spool = self.spool();
        spool.bytes += entry.size();
        spool.entries.push_back(entry);
        while spool.entries.len() > spool.max_entries || spool.bytes > spool.max_bytes {
            spool.pop();
            spool.lost += 1;
        }
    }

    /// Counts entries that were lost before they came here.
    pub fn lose(&self, entries: u64) {
        self.spool().lost += entries;
    }

    /// Entries that wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.spool().entries.len()
    }

    /// Entries that were lost since the beginning.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.spool().lost
    }

    /// The oldest entries, and the name of the first for [`written`](Self::written).
    pub(crate) fn peek(&self, limit: usize) -> (u64, Vec<Account>) {
        let spool = self.spool();
        (spool.gone, spool.entries.iter().take(limit).cloned().collect())
    }

    /// Takes out the `count` entries from `first` on, those that have not been lost meanwhile.
    pub(crate) fn written(&self, first: u64, count: usize) {
        let mut spool = self.spool();
        while spool.gone < first + count as u64 && spool.pop() {}
    }

    fn spool(&self) -> std::sync::MutexGuard<'_, Spool> {
        // A panic aborts the process; where it does not, in tests, the spool is whole between two
        // statements.
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
