//! What can go wrong in the lab, told so that the reader of a failed test need not run it again.

use std::fmt;

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
        /// Program and arguments.
        command: String,
        /// The standard error, or the reason why the command did not start.
        stderr: String,
    },
    /// A program is not built, did not do in time what it should, or ended.
    #[error(transparent)]
    Program(#[from] causeway_kit::Error),
    /// A program's answer or a measurement makes no sense.
    #[error("{0}")]
    Unexpected(String),
}

impl fmt::Debug for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
