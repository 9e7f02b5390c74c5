//! Signs of loss that no write shows: eviction, a replica with another clock, another program's
//! DEL.

use std::collections::BTreeSet;

use redis::Pipeline;

use super::{Redis, keys};
use crate::change::Change;
use crate::directory::Inspection;
use crate::error::{ErrorKind, StoreError};
use crate::record::RecordId;

/// Records that are looked for at each heartbeat.
const SAMPLE: usize = 32;
/// The only policy under which a full server keeps what it has acknowledged.
const NO_EVICTION: &str = "noeviction";

/// The records that this process has written and not deleted: those that must be there.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeSet<RecordId>);

impl Held {
    /// These changes were written.
    pub(super) fn note(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(record) => self.0.insert(record.id),
                Change::Delete(id) => self.0.remove(id),
            };
        }
    }

    /// A comparison begins: everything that lives is written again.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Up to `count` of them. Ids are random, so that those that follow a random one in their order
    /// are a random sample.
    fn sample(&self, from: RecordId, count: usize) -> Vec<RecordId> {
        self.0.range(from..).chain(self.0.range(..from)).take(count).copied().collect()
    }
}

/// The warnings that were logged about the server already.
#[derive(Debug, Default)]
pub(super) struct Said {
    policy: Option<String>,
    denied: Vec<&'static str>,
}

impl Redis {
    /// Looks for a sample of the records, and for what the server says of its memory. A right that
    /// is missing for it is said once.
    pub(super) async fn look_around(&mut self) -> Result<Inspection, StoreError> {
        let missing = self.missing().await?;
        let policy = self.policy().await;
        let policy = self.unless_denied("+info", policy)?;
        if let Some(policy) = &policy {
            self.warn_of(policy);
        }
        let length = self.stream_length().await.map(Some);
        let accounting_entries = self.unless_denied("+xlen", length)?;
        let may_evict = policy.map(|policy| policy != NO_EVICTION);
        Ok(Inspection {
            missing,
            accounting_entries,
            accounting_trimmed: self.stream.trimmed,
            may_evict,
        })
    }

    /// How many of a sample are gone. `EXISTS` is among the rights that writing needs.
    async fn missing(&mut self) -> Result<usize, StoreError> {
        let ids = self.held.sample(RecordId::random(), SAMPLE);
        if ids.is_empty() {
            return Ok(0);
        }
        let mut pipeline = Pipeline::new();
        for id in &ids {
            pipeline.cmd("EXISTS").arg(keys::alloc(self.node(), *id));
        }
        let mut connection = self.link.connection()?;
        let found: Vec<u64> = self.link.ask(pipeline.query_async(&mut connection)).await?;
        Ok(found.iter().filter(|found| **found == 0).count())
    }

    async fn policy(&mut self) -> Result<Option<String>, StoreError> {
        let mut connection = self.link.connection()?;
        let mut info = redis::cmd("INFO");
        info.arg("memory");
        let info: String = self.link.ask(info.query_async(&mut connection)).await?;
        Ok(info
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"))
            .map(|policy| policy.trim().to_owned()))
    }

    fn warn_of(&mut self, policy: &str) {
        if policy != NO_EVICTION && self.said.policy.as_deref() != Some(policy) {
            tracing::warn!(
                policy,
                "store: the server may evict records of live calls; set maxmemory-policy to noeviction"
            );
        }
        self.said.policy = Some(policy.to_owned());
    }

    /// The answer, or nothing where the server refuses to say: that is said once, and costs a
    /// warning only.
    fn unless_denied<T: Default>(
        &mut self,
        right: &'static str,
        answer: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match answer {
            Err(error) if matches!(error.kind, ErrorKind::Auth | ErrorKind::Other) => {
                if !self.said.denied.contains(&right) {
                    self.said.denied.push(right);
                    tracing::warn!(right, error = %error.text, "store: the server does not say how it stands; our user there needs this right");
                }
                Ok(T::default())
            }
            answer => answer,
        }
    }
}
