//! Which records in the node's index this process may delete.

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;

use super::BATCH;
use crate::directory::Change;
use crate::record::RecordId;

/// The ids in the node's index, by owner. A comparison deletes only records that belong to this
/// process (H47).
#[derive(Debug, Default)]
pub(super) struct Ownership {
    /// Written or restored by this process, or found to have expired.
    ours: HashSet<RecordId>,
    /// Written by another process, and not read yet.
    unread: BTreeSet<RecordId>,
    /// Read, and neither restored nor certainly ended: left to expire.
    left: BTreeSet<RecordId>,
    /// The id in `left` that was looked at last.
    looked_at: Option<RecordId>,
}

impl Ownership {
    /// Takes the content of the index. Returns the ids that belong to this process.
    pub(super) fn index(
        &mut self,
        members: impl IntoIterator<Item = RecordId>,
    ) -> HashSet<RecordId> {
        let members: HashSet<RecordId> = members.into_iter().collect();
        self.ours.retain(|id| members.contains(id));
        self.left.retain(|id| members.contains(id));
        self.unread = members
            .iter()
            .filter(|id| !self.ours.contains(id) && !self.left.contains(id))
            .copied()
            .collect();
        self.ours.clone()
    }

    /// The next batch to read; empty when every record was read. An id stays unread until
    /// [`read`](Self::read) is called for it.
    pub(super) fn unread(&self) -> Vec<RecordId> {
        self.unread.iter().take(BATCH).copied().collect()
    }

    pub(super) fn unread_count(&self) -> usize {
        self.unread.len()
    }

    /// A record was read; `has_ended` if its allocation certainly cannot be restored.
    pub(super) fn read(&mut self, id: RecordId, has_ended: bool) {
        self.unread.remove(&id);
        if has_ended {
            self.ours.insert(id);
        } else {
            self.left.insert(id);
        }
    }

    /// The record belongs to this process from now on.
    pub(super) fn answer_for(&mut self, id: RecordId) {
        self.unread.remove(&id);
        self.left.remove(&id);
        self.ours.insert(id);
    }

    /// A batch of the records left to expire, another one with each call.
    pub(super) fn some_left(&mut self) -> Vec<RecordId> {
        let from = self.looked_at.map_or(Bound::Unbounded, Bound::Excluded);
        let some: Vec<RecordId> =
            self.left.range((from, Bound::Unbounded)).take(BATCH).copied().collect();
        self.looked_at = some.last().copied();
        some
    }

    /// The changes were written: deleted ids are no longer in the index.
    pub(super) fn written(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Delete(id) = change {
                self.ours.remove(id);
            }
        }
    }
}
