//! `[accounting]`: accounts of what allocations have used, in the log and in the store.

use std::time::Duration;

use causeway_daemon::config::Problem;
use causeway_daemon::config::values::Interval;
use causeway_daemon::workers::Off;
use serde::Deserialize;

/// An account more often than this is a log of its own.
const SHORTEST: Duration = Duration::from_secs(1);
/// Maximum entries of a stream: some 21 GB of the store's memory.
const MAX_ENTRIES: usize = 100_000_000;

/// The keys of `[accounting]`, as written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AccountingSchema {
    interim: Interim,
    stream_entries: usize,
}

/// `accounting.interim`, as written: `"5m"`, or `"off"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a duration such as \"5m\", or \"off\"")]
enum Interim {
    /// None.
    Off(Off),
    /// An account as often as this.
    Every(Interval),
}

impl Default for AccountingSchema {
    fn default() -> Self {
        Self { interim: Interim::Every(Interval::seconds(300)), stream_entries: 1_000_000 }
    }
}

/// The settings of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accounting {
    /// How often an allocation that goes on is accounted for, if at all.
    pub(crate) interim: Option<Duration>,
    /// Maximum entries of the store's stream, about; 0: none are written.
    pub(crate) stream_entries: usize,
}

impl AccountingSchema {
    pub(super) fn resolve(self) -> Result<Accounting, Vec<Problem>> {
        let mut problems = Vec::new();
        let interim = match self.interim {
            Interim::Off(Off::Off) => None,
            Interim::Every(Interval(every)) => Some(every),
        };
        if let Some(every) = interim.filter(|every| *every < SHORTEST) {
            let what = format!("{every:?} is too short; the minimum is {SHORTEST:?}");
            problems.push(
                Problem::new("accounting.interim", what).hint("\"off\": no interim accounts"),
            );
        }
        if self.stream_entries > MAX_ENTRIES {
            let what = format!("{} is too many; the maximum is {MAX_ENTRIES}", self.stream_entries);
            problems.push(
                Problem::new("accounting.stream_entries", what)
                    .hint("a million entries take 210 MB of the store's memory"),
            );
        }
        let accounting = Accounting { interim, stream_entries: self.stream_entries };
        if problems.is_empty() { Ok(accounting) } else { Err(problems) }
    }
}
