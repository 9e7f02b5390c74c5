//! Looks for losses that no write reveals: eviction, a replica with another clock, a DEL by another
//! program.

use std::collections::BTreeSet;

use redis::Pipeline;

use super::{Redis, keys};
use crate::directory::{Change, Inspection};
use crate::error::{ErrorKind, StoreError};
use crate::record::RecordId;

/// Number of records to look for at each heartbeat.
const SAMPLE: usize = 32;
/// The only policy under which a full server keeps every acknowledged write.
const NO_EVICTION: &str = "noeviction";

/// The records that this process has written and not deleted, which must exist.
#[derive(Debug, Default)]
pub(super) struct Written(BTreeSet<RecordId>);

impl Written {
    /// The changes were written.
    pub(super) fn note(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(record) => self.0.insert(record.id),
                Change::Delete(id) => self.0.remove(id),
            };
        }
    }

    /// A comparison begins: every live record is written again.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// A sample of up to `count` ids. Ids are random, so the ones that follow a random id are a
    /// random sample.
    fn sample(&self, from: RecordId, count: usize) -> Vec<RecordId> {
        self.0.range(from..).chain(self.0.range(..from)).take(count).copied().collect()
    }
}

/// The warnings about the server that were logged already.
#[derive(Debug, Default)]
pub(super) struct Warned {
    policy: Option<String>,
    denied: Vec<&'static str>,
}

impl Redis {
    /// Looks for a sample of the records, and asks the server for its eviction policy. A missing
    /// permission is logged once.
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

    /// The number of missing records in a sample. Writing needs the permission for `EXISTS`, too.
    async fn missing(&mut self) -> Result<usize, StoreError> {
        let ids = self.written.sample(RecordId::random(), SAMPLE);
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
        if policy != NO_EVICTION && self.warned.policy.as_deref() != Some(policy) {
            tracing::warn!(
                policy,
                "Redis may evict records of live calls; set maxmemory-policy to noeviction"
            );
        }
        self.warned.policy = Some(policy.to_owned());
    }

    /// The answer, or the default if the server rejects the question, which is logged once.
    fn unless_denied<T: Default>(
        &mut self,
        right: &'static str,
        answer: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match answer {
            Err(error) if matches!(error.kind, ErrorKind::Auth | ErrorKind::Other) => {
                if !self.warned.denied.contains(&right) {
                    self.warned.denied.push(right);
                    tracing::warn!(
                        right,
                        error = %error.text,
                        "Redis denies a question about its state; grant the user this right"
                    );
                }
                Ok(T::default())
            }
            answer => answer,
        }
    }
}
