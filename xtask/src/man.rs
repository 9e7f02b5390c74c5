//! `cargo xtask man`: the man pages and shell completions of the four programs.

use anyhow::{Result, ensure};

use crate::command::cargo;
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
pub(crate) fn write_manual() -> Result<()> {
    let folder = target().join("man");
    for (program, package) in PROGRAMS {
        let status = cargo(&["run", "--quiet", "--package", package, "--bin", program])
            .args(["--features", "causeway-cli/manual", "--", "--generate-manual"])
            .arg(&folder)
            .status()?;
        ensure!(status.success(), "{program} did not write its manual: {status}");
    }
    causeway_cli::print_line(format_args!(
        "the man pages and completions are in {}",
        folder.display()
    ))?;
    Ok(())
}
