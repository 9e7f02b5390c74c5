use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;

use super::BATCH;
use crate::change::Change;
use crate::record::RecordId;

/// The ids in the index, as this process knows them. A comparison deletes only what it answers for
/// itself (H47).
#[derive(Debug, Default)]
pub(super) struct Known {
    /// It has written these, has brought them back, or has found that they have ended.
    ours: HashSet<RecordId>,
    /// In the index, written by another process, and not read yet.
    unread: BTreeSet<RecordId>,
    /// Read, and neither brought back nor ended for certain: they are left to expire.
    left: BTreeSet<RecordId>,
    /// How far the ones that are left have been looked through.
    looked_at: Option<RecordId>,
}

impl Known {
    /// These are in the index. Gives those that are this process's.
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

    /// The next to be read; none are left when there are none. They stay unread until
    /// [`read`](Self::read) is told of them.
    pub(super) fn unread(&self) -> Vec<RecordId> {
        self.unread.iter().take(BATCH).copied().collect()
    }

    pub(super) fn unread_count(&self) -> usize {
        self.unread.len()
    }

    /// It was read; `has_ended` when nothing can come of it any more.
    pub(super) fn read(&mut self, id: RecordId, has_ended: bool) {
        self.unread.remove(&id);
        if has_ended {
            self.ours.insert(id);
        } else {
            self.left.insert(id);
        }
    }

    /// This process answers for it from now on.
    pub(super) fn answer_for(&mut self, id: RecordId) {
        self.unread.remove(&id);
        self.left.remove(&id);
        self.ours.insert(id);
    }

    /// Some of those that are left, others each time.
    pub(super) fn some_left(&mut self) -> Vec<RecordId> {
        let from = self.looked_at.map_or(Bound::Unbounded, Bound::Excluded);
        let some: Vec<RecordId> =
            self.left.range((from, Bound::Unbounded)).take(BATCH).copied().collect();
        self.looked_at = some.last().copied();
        some
    }

    /// These were written; what was deleted is in the index no more.
    pub(super) fn written(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Delete(id) = change {
                self.ours.remove(id);
            }
        }
    }
}
