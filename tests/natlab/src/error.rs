//! What can go wrong in the lab, told so that the reader of a failed test need not run it again.

use std::fmt;
use std::time::Duration;

/// A failure of the lab itself or of a program that runs in it. Its `Debug` is its message, because
/// that is what a test that unwraps shows.
#[derive(thiserror::Error)]
pub enum LabError {
    /// This machine or this user cannot run the lab.
    #[error("the NAT lab cannot run here, it needs: {0}")]
    Missing(String),
    /// A command that builds the lab did not succeed.
    #[error("`{command}` failed: {stderr}")]
    Command {
        /// The command line.
        command: String,
        /// What it wrote to standard error, or why it could not be started.
        stderr: String,
    },
    /// A program of this workspace is not built.
    #[error("{path} does not exist: build it first, `cargo build --bin {name}`")]
    NotBuilt {
        /// The executable's name.
        name: String,
        /// Where it was looked for.
        path: String,
    },
    /// Something that was waited for did not happen.
    #[error("{program}: no {what} within {waited:?}; its output:\n{log}")]
    Timeout {
        /// The program that was watched.
        program: String,
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
        /// The last lines that the program wrote.
        log: String,
    },
    /// A program ended although it was still needed, or with a failure.
    #[error("{program} ended with {status}, {what}; its output:\n{log}")]
    Ended {
        /// The program.
        program: String,
        /// Its exit status.
        status: String,
        /// What it was needed for.
        what: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// A program's answer or a measurement makes no sense.
    #[error("{0}")]
    Unexpected(String),
    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was attempted.
        doing: String,
        /// The refusal.
        source: std::io::Error,
    },
}

impl fmt::Debug for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl LabError {
    /// Wraps an I/O error with what was attempted; for `map_err`.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
