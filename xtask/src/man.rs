//! `cargo xtask man`: the man pages and shell completions of the four programs.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::command::{cargo, run_until};
use crate::workspace::target;

/// The programs and their packages.
const PROGRAMS: [(&str, &str); 4] = [
    ("stund", "stund"),
    ("turnd", "turnd"),
    ("ice-agent", "ice-agent"),
    ("turnload", "causeway-bench"),
];

/// Builds each program with the feature that generates its manual, and has it write the manual to
/// `target/man`.
///
/// # Errors
/// A program does not build by `by`, or a page lacks a flag or is not there.
pub(crate) fn write(by: Instant) -> Result<()> {
    let folder = target().join("man");
    for (program, package) in PROGRAMS {
        let mut generate = cargo(&["run", "--quiet", "--package", package, "--bin", program]);
        generate.args(["--features", "causeway-cli/manual", "--", "--generate-manual"]);
        run_until(generate.arg(&folder), by)?;
        check(&folder, program)?;
    }
    causeway_cli::print_line(format_args!(
        "the man pages and completions are in {}",
        folder.display()
    ))?;
    Ok(())
}

/// Checks that the page and the completions of a program are there. Whether they are complete has
/// been checked by the program, which knows its flags.
fn check(folder: &Path, program: &str) -> Result<()> {
    let names = [
        format!("{program}.1"),
        format!("{program}.bash"),
        format!("_{program}"),
        format!("{program}.fish"),
    ];
    for name in names {
        let path = folder.join(&name);
        let length = fs::metadata(&path).with_context(|| path.display().to_string())?.len();
        ensure!(length > 0, "{} is empty", path.display());
    }
    Ok(())
}
