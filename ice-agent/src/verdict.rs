//! The result of a test as an exit status, for scripts and monitoring.

use std::process::ExitCode;

/// The exit status of a test that could not run; clap uses the same for a bad command line.
pub const COULD_NOT_RUN: u8 = 2;

/// The result of a test that ran. A test that could not run returns an `Err` and exits with
/// [`COULD_NOT_RUN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The test passed: exit status 0.
    Yes,
    /// The test failed: exit status 1.
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

/// The JSON document of a test that could not run: `{"outcome": "could_not_run", "error": "…"}`.
#[must_use]
pub fn could_not_run(reason: &str) -> serde_json::Value {
    serde_json::json!({ "outcome": "could_not_run", "error": reason })
}
