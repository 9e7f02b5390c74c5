//! The place where a value was written.

use std::fmt;
use std::sync::Arc;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The documented defaults.
    Default,
    /// A line of the configuration file.
    File {
        /// The file, as it was named.
        path: Arc<str>,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable, by name.
    Environment(String),
    /// `--set`, with the key as it was written.
    Set(String),
    /// A dedicated flag, such as `--realm`.
    Flag(&'static str),
}

impl Origin {
    /// Whether both belong to one layer: a layer may not set a key twice.
    pub(super) fn is_of_layer(&self, other: &Origin) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "{path}:{line}"),
            Origin::Environment(name) => write!(f, "environment variable {name}"),
            Origin::Set(key) => write!(f, "--set {key}"),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}
