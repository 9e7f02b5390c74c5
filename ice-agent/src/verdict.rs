//! What a test found, as an exit status that monitoring understands.

use std::process::ExitCode;

/// The exit status of a test that could not run; clap exits with the same for a bad command line.
pub const COULD_NOT_RUN: u8 = 2;

/// The answer of a test that could run; one that could not is an `Err`, and exits with
/// [`COULD_NOT_RUN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The test ran and all is well: exit status 0.
    Yes,
    /// The test ran and says no: exit status 1.
    No,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Yes => Self::SUCCESS,
            Verdict::No => Self::from(1),
        }
    }
}

/// The document of a test that could not run, for programs that asked for one: `{"outcome":
/// "could_not_run", "error": "…"}`.
#[must_use]
pub fn could_not_run(reason: &str) -> serde_json::Value {
    serde_json::json!({ "outcome": "could_not_run", "error": reason })
}
