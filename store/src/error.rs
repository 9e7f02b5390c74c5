/// What kind of trouble a store makes: the label of the error counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nobody answers at the address, or the connection broke.
    Unreachable,
    /// No answer in time: the server hangs, or the network does.
    Timeout,
    /// The user or the password is wrong, or the user may not do this.
    Auth,
    /// The server is full (`maxmemory`) and refuses writes.
    Full,
    /// The server refuses writes for another reason: a replica, or a disk that it cannot write to.
    ReadOnly,
    /// The server starts and does not answer yet.
    Loading,
    /// The server runs a long script of another client.
    Busy,
    /// The server has fewer replicas than it must have to take writes.
    NoReplicas,
    /// The server is a replica that has lost its primary, or Sentinel names no primary.
    NoPrimary,
    /// The cluster moves the node's keys, or is down.
    Cluster,
    /// Another process has taken over this node's records.
    Fenced,
    /// The directory was lost, or is another one: all is to be offered again.
    NeedsFull,
    /// Any other answer.
    Other,
}

impl ErrorKind {
    /// All of them, in the order of [`index`](Self::index).
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

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// What the operator can do about it, where that is known.
    #[must_use]
    pub const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Auth => Some(
                "set store.username and store.password, and give that user the rights that docs/store.md names",
            ),
            Self::Full => {
                Some("raise maxmemory of the Redis server, or lower accounting.stream_entries")
            }
            Self::Fenced => Some("give each server a store.node_id of its own"),
            _ => None,
        }
    }

    /// For a metric's label.
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

    /// Whether the server answered and the connection is as good as before. Where another server
    /// may be the right one by now, it is not.
    pub(crate) const fn keeps_connection(self) -> bool {
        matches!(self, Self::Full | Self::Busy | Self::Fenced | Self::NeedsFull)
    }

    /// Whether trying again cannot help: a restore ends at once. All other trouble may be over in a
    /// second.
    pub(crate) const fn is_final(self) -> bool {
        matches!(self, Self::Auth | Self::Fenced)
    }
}

/// The store did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", kind.name())]
pub struct StoreError {
    /// What kind of trouble.
    pub kind: ErrorKind,
    /// For people. Holds no secret.
    pub text: String,
}

impl StoreError {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}
