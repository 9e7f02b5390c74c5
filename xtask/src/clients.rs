//! The clients of the interop suite that are not Debian packages: each installed by its own package
//! manager, at the versions of its lock file, below the target directory, where `tests/interop`
//! looks for them.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::{command, go, run_until};
use crate::{python, workspace};

/// Installs all of these clients, unless they are there.
pub(crate) fn provide(deadline: Instant) -> Result<()> {
    python::provide_interop(deadline)?;
    provide_node(deadline)?;
    provide_pion(deadline)
}

/// The packages of Node.js, without running any script of theirs.
fn provide_node(deadline: Instant) -> Result<()> {
    let source = workspace::root().join("tests/interop/node");
    let folder = workspace::target().join("interop-node");
    if ["package.json", "package-lock.json"]
        .iter()
        .all(|name| same(&source.join(name), &folder.join(name)))
    {
        causeway_cli::print_line(format_args!("{}: there", folder.display()))?;
        return Ok(());
    }
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    copy(&source, &folder, "package.json")?;
    let lock = "package-lock.json";
    copy(&source, &folder, lock)?;
    let installed = run_until(
        command("npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder),
        deadline,
    );
    if installed.is_err() {
        // An incomplete installation must not be taken for a complete one.
        std::fs::remove_file(folder.join(lock)).with_context(|| folder.display().to_string())?;
    }
    installed
}

/// The program that uses pion. Go rebuilds only changed files.
fn provide_pion(deadline: Instant) -> Result<()> {
    let program = workspace::target().join("interop-pion").display().to_string();
    let mut build = go(&["build", "-trimpath", "-o", &program, "."]);
    build.env("CGO_ENABLED", "0");
    run_until(build.current_dir(workspace::root().join("tests/interop/pion")), deadline)
}

fn same(ours: &Path, theirs: &Path) -> bool {
    let (ours, theirs) = (std::fs::read(ours), std::fs::read(theirs));
    ours.ok().zip(theirs.ok()).is_some_and(|(ours, theirs)| ours == theirs)
}

fn copy(from: &Path, to: &Path, name: &str) -> Result<()> {
    std::fs::copy(from.join(name), to.join(name))
        .map(drop)
        .with_context(|| from.join(name).display().to_string())
}
