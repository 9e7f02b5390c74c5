use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use crate::accounting::Account;
use crate::change::Change;
use crate::error::StoreError;
use crate::record::{Record, RecordId};

/// How long a heartbeat counts.
pub(crate) const HEARTBEAT_LIFETIME: Duration = Duration::from_secs(20);

/// Where a node's records are kept.
///
/// First [`restore`](Self::restore), once; then [`begin_full`](Self::begin_full), each record by
/// [`write`](Self::write), and [`end_full`](Self::end_full); from then on the changes by
/// [`write`](Self::write). After an error that ended the connection, and whenever the kind is
/// [`NeedsFull`](crate::ErrorKind::NeedsFull), the way starts at `begin_full` again. Every call
/// ends within the home's timeouts.
pub trait Directory: Send + 'static {
    /// Claims the node's directory for this process and reads what the process before left. Waits
    /// for `patience` at the most, and then gives what it has. Where another server's heartbeat
    /// is fresh, it waits longer: until that one beats again, or is seen to have ended.
    fn restore(&mut self, patience: Duration) -> impl Future<Output = Restored> + Send;

    /// Connects if need be, and starts a comparison: what the directory holds and is not written
    /// until [`end_full`](Self::end_full) is stale.
    ///
    /// # Errors
    /// When the home is not there, or another process has taken over.
    fn begin_full(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reads what [`restore`](Self::restore) has not read, a batch at a time: none when nothing is
    /// left. After `begin_full`.
    ///
    /// # Errors
    /// When it could not be read.
    fn read_late(&mut self) -> impl Future<Output = Result<Restored, StoreError>> + Send;

    /// Writes changes, all or none, in one round trip. A few hundred at the most.
    ///
    /// # Errors
    /// When nothing was written, or nobody knows whether it was.
    fn write(&mut self, changes: &[Change]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the comparison: deletes what is stale and this process answers for. Gives how many
    /// records those were.
    ///
    /// # Errors
    /// When not all of them could be deleted.
    fn end_full(&mut self) -> impl Future<Output = Result<usize, StoreError>> + Send;

    /// Tells the fleet that this node lives, until `lifetime` has passed without another report.
    ///
    /// # Errors
    /// When it could not be told.
    fn heartbeat(
        &mut self,
        report: &NodeReport,
        lifetime: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Appends accounting entries, in their order.
    ///
    /// # Errors
    /// When they were not appended, or nobody knows whether they were.
    fn account(
        &mut self,
        entries: &[Account],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Tells the fleet that this node stops, and gives its name up for the next process. The
    /// records stay.
    ///
    /// # Errors
    /// When it could not be told; then its last report ends by itself, and the name is free after
    /// that.
    fn leave(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Looks for signs of loss that no write shows: asked after each heartbeat.
    ///
    /// # Errors
    /// When the home does not answer. One that does not tell is no error.
    fn inspect(&mut self) -> impl Future<Output = Result<Inspection, StoreError>> + Send {
        async { Ok(Inspection::default()) }
    }
}

/// The outcome of an inspection of the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Records of a random sample that this process has written, and that are gone.
    pub missing: usize,
    /// Entries of the accounting stream, if the home tells.
    pub accounting_entries: Option<u64>,
    /// Accounting entries that this process has removed since it started, to make room for
    /// records.
    pub accounting_trimmed: u64,
    /// Whether the home may evict records when it is full, if it tells.
    pub may_evict: Option<bool>,
}

/// What a node tells the others of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeReport {
    /// Where clients reach it, by transport: "udp", "tcp", "tls", "dtls".
    pub addresses: Vec<(String, SocketAddr)>,
    /// The name that its certificate is for, which a client asks for over TLS and DTLS; empty:
    /// none.
    pub tls_name: String,
    /// Its allocations.
    pub allocations: u64,
    /// How many it can have; 0 is unknown.
    pub capacity: u64,
    /// "serving" or "draining".
    pub state: String,
}

/// What a process left behind.
#[derive(Debug, Default)]
pub struct Restored {
    /// The records that can be read and have not ended.
    pub records: Vec<Record>,
    /// Records that can be read and have ended meanwhile; they are among the next count, too.
    pub ended: Vec<Record>,
    /// How many there were that cannot be restored, by reason: a metric's label.
    pub not_restored: BTreeMap<&'static str, u64>,
    /// How it went.
    pub outcome: Outcome,
}

impl Restored {
    /// Whether there was nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.ended.is_empty() && self.not_restored.is_empty()
    }

    /// Counts a record that cannot be restored. turnd adds its own reasons, such as a port that is
    /// taken.
    pub fn lose(&mut self, reason: &'static str, records: u64) {
        if records > 0 {
            *self.not_restored.entry(reason).or_default() += records;
        }
    }
}

/// How restoring went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// All that was there was read.
    #[default]
    Complete,
    /// The home was not reached, or not in time: the records are those read until then, perhaps
    /// none.
    Incomplete(StoreError),
}

/// The ids among `known` that were not offered since the comparison began.
#[derive(Debug, Default)]
pub(crate) struct Comparison(pub(crate) HashSet<RecordId>);

impl Comparison {
    /// These are known, whether they could be written or not: a store that is full keeps what it
    /// has of them.
    pub(crate) fn offered(&mut self, changes: &[Change]) {
        for change in changes {
            self.0.remove(&change.id());
        }
    }
}
