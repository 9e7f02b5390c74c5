//! The directory of a server without a store.

use std::time::Duration;

use crate::accounting::Account;
use crate::directory::{Change, Directory, NodeReport, Restored};
use crate::error::StoreError;

/// The embedded default: allocations live in the workers and end with the process, so every
/// operation succeeds and does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory;

impl Directory for Memory {
    async fn restore(&mut self, _patience: Duration) -> Restored {
        Restored::default()
    }

    async fn begin_full(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn read_late(&mut self) -> Result<Restored, StoreError> {
        Ok(Restored::default())
    }

    async fn write(&mut self, _changes: &[Change]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn end_full(&mut self) -> Result<usize, StoreError> {
        Ok(0)
    }

    async fn heartbeat(
        &mut self,
        _report: &NodeReport,
        _lifetime: Duration,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn account(&mut self, _entries: &[Account]) -> Result<(), StoreError> {
        Ok(())
    }
}
