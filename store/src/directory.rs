//! The interface to the place where a node's records are kept, and the types that cross it.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use crate::accounting::Account;
use crate::error::StoreError;
use crate::record::{Record, RecordId};

/// How long a heartbeat is fresh.
pub(crate) const HEARTBEAT_LIFETIME: Duration = Duration::from_secs(20);

/// Where a node's records are kept.
///
/// Call [`restore`](Self::restore) once; then [`begin_full`](Self::begin_full),
/// [`write`](Self::write) for each record, and [`end_full`](Self::end_full); from then on `write`
/// for changes. After an error that ended the connection, and after any error of the kind
/// [`NeedsFull`](crate::ErrorKind::NeedsFull), start at `begin_full` again. Every call returns
/// within the timeouts of the implementation.
pub trait Directory: Send + 'static {
    /// Claims the node's directory for this process and reads the records of the previous process.
    /// Returns after `patience` with the records read by then. While the heartbeat of another
    /// server is fresh it waits longer: until that server sends another one, or has ended.
    fn restore(&mut self, patience: Duration) -> impl Future<Output = Restored> + Send;

    /// Connects if necessary, and starts a comparison: a record in the directory that is not
    /// written until [`end_full`](Self::end_full) is stale.
    ///
    /// # Errors
    /// The store is unreachable, or another process has taken over the node's name.
    fn begin_full(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reads the next batch of records that [`restore`](Self::restore) has not read; an empty
    /// result when none is left. Call it after `begin_full`.
    ///
    /// # Errors
    /// The batch could not be read.
    fn read_late(&mut self) -> impl Future<Output = Result<Restored, StoreError>> + Send;

    /// Writes a few hundred changes, all or none, in one round trip.
    ///
    /// # Errors
    /// Nothing was written, or it is unknown whether anything was.
    fn write(&mut self, changes: &[Change]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the comparison: deletes the stale records that belong to this process. Returns their
    /// number.
    ///
    /// # Errors
    /// Not all of them could be deleted.
    fn end_full(&mut self) -> impl Future<Output = Result<usize, StoreError>> + Send;

    /// Reports to the fleet that this node is alive. The report expires after `lifetime`.
    ///
    /// # Errors
    /// The report could not be written.
    fn heartbeat(
        &mut self,
        report: &NodeReport,
        lifetime: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Appends accounting entries in order.
    ///
    /// # Errors
    /// They were not appended, or it is unknown whether they were.
    fn account(
        &mut self,
        entries: &[Account],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes this node from the registry and releases its name for the next process. The records
    /// stay.
    ///
    /// # Errors
    /// It could not be done: the name is free once the last report has expired.
    fn leave(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Looks for signs of loss that no write reveals. Called after each heartbeat.
    ///
    /// # Errors
    /// The store does not answer. A store that refuses the question is no error.
    fn inspect(&mut self) -> impl Future<Output = Result<Inspection, StoreError>> + Send {
        async { Ok(Inspection::default()) }
    }
}

/// A change of an allocation since its record was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Writes the record as it is now.
    Put(Box<Record>),
    /// Deletes the record: the allocation has ended.
    Delete(RecordId),
}

impl Change {
    /// The record that the change concerns.
    #[must_use]
    pub fn id(&self) -> RecordId {
        match self {
            Self::Put(record) => record.id,
            Self::Delete(id) => *id,
        }
    }
}

/// The outcome of an inspection of the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Records that this process has written and that are missing, in a random sample.
    pub missing: usize,
    /// Entries of the accounting stream, if the store says so.
    pub accounting_entries: Option<u64>,
    /// Accounting entries that this process has removed since its start to make room for records.
    pub accounting_trimmed: u64,
    /// Whether a full store may evict records, if the store says so.
    pub may_evict: Option<bool>,
}

/// The report of a node to the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeReport {
    /// Addresses at which clients reach the node, by transport: "udp", "tcp", "tls", "dtls".
    pub addresses: Vec<(String, SocketAddr)>,
    /// The name in the node's certificate, which clients verify over TLS and DTLS; empty for none.
    pub tls_name: String,
    /// Number of live allocations.
    pub allocations: u64,
    /// Maximum number of allocations; 0 if unknown.
    pub capacity: u64,
    /// State of the node: "serving" or "draining".
    pub state: String,
}

/// The records that the previous process left.
#[derive(Debug, Default)]
pub struct Restored {
    /// Readable records of allocations that have not expired.
    pub records: Vec<Record>,
    /// Readable records of allocations that have expired; `not_restored` counts them too.
    pub ended: Vec<Record>,
    /// Number of records that cannot be restored, by reason, which is a metric's label.
    pub not_restored: BTreeMap<&'static str, u64>,
    /// Whether every record was read.
    pub outcome: Outcome,
}

impl Restored {
    /// Whether no record was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.ended.is_empty() && self.not_restored.is_empty()
    }

    /// Counts records that cannot be restored. turnd adds reasons of its own, such as a port that
    /// is in use.
    pub fn lose(&mut self, reason: &'static str, records: u64) {
        if records > 0 {
            *self.not_restored.entry(reason).or_default() += records;
        }
    }
}

/// Whether a restore has read every record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Every record was read.
    #[default]
    Complete,
    /// The store was not reached, or not in time. The records are those read by then, perhaps none.
    Incomplete(StoreError),
}

/// The ids of this process that have not been offered since the comparison began.
#[derive(Debug, Default)]
pub(crate) struct Comparison(pub(crate) HashSet<RecordId>);

impl Comparison {
    /// Marks the records of these changes as offered, whether they could be written or not: a full
    /// store keeps the versions it has.
    pub(crate) fn offered(&mut self, changes: &[Change]) {
        for change in changes {
            self.0.remove(&change.id());
        }
    }
}
