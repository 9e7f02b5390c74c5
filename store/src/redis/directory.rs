//! The [`Directory`] operations in Redis.

use std::time::Duration;

use super::{BATCH, Redis, restore};
use crate::accounting::Account;
use crate::directory::{Change, Comparison, Directory, Inspection, NodeReport, Restored};
use crate::error::{ErrorKind, StoreError};
use crate::record::RecordId;

impl Directory for Redis {
    async fn restore(&mut self, patience: Duration) -> Restored {
        restore::restore(self, patience).await
    }

    async fn begin_full(&mut self) -> Result<(), StoreError> {
        let ids = self.claim().await?;
        self.written.clear();
        self.comparison = Comparison(self.ownership.index(ids));
        Ok(())
    }

    async fn read_late(&mut self) -> Result<Restored, StoreError> {
        let mut restored = Restored::default();
        let ended = restore::read_some(self, &mut restored).await?;
        self.delete(&ended).await?;
        Ok(restored)
    }

    async fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.comparison.offered(changes);
        loop {
            match self.apply(changes).await {
                Err(error) if error.kind == ErrorKind::Full && self.make_room().await? => {}
                written => return written,
            }
        }
    }

    async fn end_full(&mut self) -> Result<usize, StoreError> {
        let stale: Vec<RecordId> = std::mem::take(&mut self.comparison.0).into_iter().collect();
        self.delete(&stale).await?;
        Ok(stale.len())
    }

    async fn heartbeat(
        &mut self,
        report: &NodeReport,
        lifetime: Duration,
    ) -> Result<(), StoreError> {
        // The registry's key is in another slot than the records, so one script cannot guard both.
        self.apply(&[]).await?;
        self.report(report, lifetime).await?;
        self.forget_expired().await
    }

    async fn account(&mut self, entries: &[Account]) -> Result<(), StoreError> {
        self.append(entries).await
    }

    async fn leave(&mut self) -> Result<(), StoreError> {
        self.release().await
    }

    async fn inspect(&mut self) -> Result<Inspection, StoreError> {
        self.look_around().await
    }
}

impl Redis {
    async fn delete(&mut self, ids: &[RecordId]) -> Result<(), StoreError> {
        for ids in ids.chunks(BATCH) {
            let deletions: Vec<Change> = ids.iter().copied().map(Change::Delete).collect();
            self.apply(&deletions).await?;
        }
        Ok(())
    }

    /// Removes records that were left to expire, and have, from the index.
    async fn forget_expired(&mut self) -> Result<(), StoreError> {
        let some = self.ownership.some_left();
        let values = restore::values(self, &some).await?;
        let gone: Vec<RecordId> = some
            .into_iter()
            .zip(values)
            .filter(|(_, value)| value.is_none())
            .map(|(id, _)| id)
            .collect();
        self.delete(&gone).await
    }
}
