//! Errors of the store, by kind: the kind decides about retries and is a label of a metric.

/// The kind of a store error: the label of the error counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No server answers at the address, or the connection broke.
    Unreachable,
    /// No answer within the timeout: the server or the network hangs.
    Timeout,
    /// The user or the password is wrong, or the user lacks a permission.
    Auth,
    /// The server is full (`maxmemory`) and refuses writes.
    Full,
    /// The server refuses writes for another reason: a replica, or a disk that it cannot write to.
    ReadOnly,
    /// The server is loading its data and does not answer yet.
    Loading,
    /// The server is busy with a long script of another client.
    Busy,
    /// The server has fewer replicas than it requires to accept writes.
    NoReplicas,
    /// The server is a replica without a primary, or Sentinel names no primary.
    NoPrimary,
    /// The cluster is moving the node's keys, or is down.
    Cluster,
    /// Another process has claimed this node's name.
    Fenced,
    /// The directory is empty or another one: every record must be written again.
    NeedsFull,
    /// Any other error reply.
    Other,
}

impl ErrorKind {
    /// All kinds, in the order of [`index`](Self::index).
    pub const ALL: [Self; 13] = [
        Self::Unreachable,
        Self::Timeout,
        Self::Auth,
        Self::Full,
        Self::ReadOnly,
        Self::Loading,
        Self::Busy,
        Self::NoReplicas,
        Self::NoPrimary,
        Self::Cluster,
        Self::Fenced,
        Self::NeedsFull,
        Self::Other,
    ];

    /// Its index in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The remedy for the operator, where there is one.
    #[must_use]
    pub const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Auth => Some(
                "set store.username and store.password, and grant that user the permissions listed \
                 in docs/store.md",
            ),
            Self::Full => {
                Some("raise maxmemory of the Redis server, or lower accounting.stream_entries")
            }
            Self::Fenced => Some("give each server a store.node_id of its own"),
            _ => None,
        }
    }

    /// Its name in metric labels and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Auth => "auth",
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Loading => "loading",
            Self::Busy => "busy",
            Self::NoReplicas => "no_replicas",
            Self::NoPrimary => "no_primary",
            Self::Cluster => "cluster",
            Self::Fenced => "fenced",
            Self::NeedsFull => "needs_full",
            Self::Other => "other",
        }
    }

    /// Whether the connection is still usable after this error. It is not where another server may
    /// be the right one by now.
    pub(crate) const fn keeps_connection(self) -> bool {
        matches!(self, Self::Full | Self::Busy | Self::Fenced | Self::NeedsFull)
    }

    /// Whether a retry cannot help, so that a restore ends at once. Any other error may be over in
    /// a second.
    pub(crate) const fn is_final(self) -> bool {
        matches!(self, Self::Auth | Self::Fenced)
    }
}

/// An operation of the store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", kind.name())]
pub struct StoreError {
    /// The kind of the error.
    pub kind: ErrorKind,
    /// Text for operators. Contains no secret.
    pub text: String,
}

impl StoreError {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}
