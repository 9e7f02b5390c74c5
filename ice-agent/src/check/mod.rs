//! Placeholder of the frame; replaced by the subcommand.

use crate::verdict::Verdict;

/// The command line of `ice-agent check`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the test.
///
/// # Errors
/// What keeps the test from running.
pub async fn run(_args: Args) -> anyhow::Result<Verdict> {
    anyhow::bail!("check: not built yet")
}
