use std::time::Duration;

use super::{BATCH, Redis, restore};
use crate::accounting::Account;
use crate::change::Change;
use crate::directory::{Comparison, Directory, Inspection, NodeReport, Restored};
use crate::error::{ErrorKind, StoreError};
use crate::record::RecordId;

impl Directory for Redis {
    async fn restore(&mut self, patience: Duration) -> Restored {
        restore::restore(self, patience).await
    }

    async fn begin_full(&mut self) -> Result<(), StoreError> {
        let ids = loop {
            match self.claim().await {
                Err(error) if error.kind == ErrorKind::Full && self.make_room().await? => {}
                claimed => break claimed?,
            }
        };
        self.held.clear();
        self.comparison = Comparison(ids.into_iter().collect());
        Ok(())
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
        for ids in stale.chunks(BATCH) {
            let deletions: Vec<Change> = ids.iter().copied().map(Change::Delete).collect();
            self.apply(&deletions).await?;
        }
        Ok(stale.len())
    }

    async fn heartbeat(&mut self, report: &NodeReport, lifetime: Duration) -> Result<(), StoreError> {
        // The registry's key lies in another slot than the records', so that it cannot be guarded by the same script.
        self.apply(&[]).await?;
        loop {
            match self.register(report, lifetime).await {
                Err(error) if error.kind == ErrorKind::Full && self.make_room().await? => {}
                registered => return registered,
            }
        }
    }

    async fn account(&mut self, entries: &[Account]) -> Result<(), StoreError> {
        self.append(entries).await
    }

    async fn leave(&mut self) -> Result<(), StoreError> {
        self.unregister().await
    }

    async fn inspect(&mut self) -> Result<Inspection, StoreError> {
        self.look_around().await
    }
}
