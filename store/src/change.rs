use crate::record::{Record, RecordId};

/// What became of an allocation since it was written last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is this now.
    Put(Box<Record>),
    /// It is no more.
    Delete(RecordId),
}

impl Change {
    /// Whose change it is.
    #[must_use]
    pub fn id(&self) -> RecordId {
        match self {
            Self::Put(record) => record.id,
            Self::Delete(id) => *id,
        }
    }
}
