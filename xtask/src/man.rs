//! `cargo xtask man`: the man pages and shell completions of the four programs.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::command::{cargo, run_until};
use crate::workspace::target;

/// The programs.
const PROGRAMS: [&str; 4] = ["stund", "turnd", "ice-agent", "turnload"];

/// Builds the programs with the feature that generates their manuals, and has each write its own to
/// `target/man`. All are built by one command: with the features of the whole workspace, only what
/// depends on the feature is built again.
///
/// # Errors
/// A program does not build by `by`, or finds that what it wrote lacks a flag or a subcommand.
pub(crate) fn write(by: Instant) -> Result<()> {
    let folder = target().join("man");
    let mut build = cargo(&["build", "--workspace", "--bins"]);
    run_until(build.args(["--features", "causeway-cli/manual"]), by)?;
    for program in PROGRAMS {
        let mut generate = Command::new(target().join("debug").join(program));
        run_until(generate.arg("--generate-manual").arg(&folder), by)?;
    }
    causeway_cli::print_line(format_args!(
        "the man pages and completions are in {}",
        folder.display()
    ))?;
    Ok(())
}
