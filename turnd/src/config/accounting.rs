//! `[accounting]`: records of what allocations have used, in the log and in the store.

use std::time::Duration;

use causeway_daemon::config::Problem;
use causeway_daemon::config::values::duration_or_off;
use serde::Deserialize;

/// Minimum of `accounting.interim`: more frequent records would flood the log.
const MIN_INTERIM: Duration = Duration::from_secs(1);
/// Maximum of `accounting.stream_entries`: some 21 GB of the store's memory.
const MAX_ENTRIES: usize = 100_000_000;

/// The keys of `[accounting]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accounting {
    /// Time between two records of an allocation that is in use; `None`: no interim records.
    #[serde(deserialize_with = "duration_or_off")]
    pub(crate) interim: Option<Duration>,
    /// Approximate maximum number of entries of the store's stream; 0: no stream.
    pub(crate) stream_entries: usize,
}

impl Accounting {
    /// Checks the ranges of the keys.
    pub(super) fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(interim) = self.interim.filter(|interim| *interim < MIN_INTERIM) {
            let what = format!("{interim:?} is too short; the minimum is {MIN_INTERIM:?}");
            problems.push(
                Problem::new("accounting.interim", what)
                    .hint("write \"off\" for no interim records"),
            );
        }
        if self.stream_entries > MAX_ENTRIES {
            let what = format!("{} is too many; the maximum is {MAX_ENTRIES}", self.stream_entries);
            problems.push(
                Problem::new("accounting.stream_entries", what)
                    .hint("a million entries take 210 MB of the store's memory"),
            );
        }
        problems
    }
}
