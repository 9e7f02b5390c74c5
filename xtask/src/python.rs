//! Python packages that the suites use: versions and hashes pinned in a lock file each, installed
//! below the target directory.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::{command, run_until};
use crate::workspace;

/// A copy of the lock file beside the packages, written when they are all there.
const STAMP: &str = "requirements.txt";

/// Installs the Python clients of the interop suite; returns the folder where `tests/interop` looks
/// for them.
pub(crate) fn provide_interop(deadline: Instant) -> Result<PathBuf> {
    let lock = workspace::root().join("tests/interop/aiortc/requirements.txt");
    let folder = workspace::target().join("interop-venv");
    provide(&lock, &folder, deadline)?;
    Ok(folder)
}

/// Makes the virtual environment in `folder`, unless the one there is of the same lock file.
pub(crate) fn provide(lock: &Path, folder: &Path, deadline: Instant) -> Result<()> {
    let Some(wanted) = wanted(lock, folder)? else { return Ok(()) };
    run_until(
        &mut command("python3", &["-m", "venv", "--clear", &folder.display().to_string()]),
        deadline,
    )?;
    let pip = folder.join("bin/pip").display().to_string();
    let lock = lock.display().to_string();
    let arguments = ["install", "--quiet", "--require-hashes", "--only-binary=:all:", "-r", &lock];
    run_until(&mut command(&pip, &arguments), deadline)?;
    stamp(folder, &wanted)
}

/// The text of the lock file; `None`, and a line that says so, if `folder` has the packages of
/// exactly this text.
pub(crate) fn wanted(lock: &Path, folder: &Path) -> Result<Option<String>> {
    let wanted = std::fs::read_to_string(lock).with_context(|| lock.display().to_string())?;
    if std::fs::read_to_string(folder.join(STAMP)).is_ok_and(|installed| installed == wanted) {
        causeway_cli::print_line(format_args!("{}: there", folder.display()))?;
        return Ok(None);
    }
    Ok(Some(wanted))
}

/// Notes that `folder` has the packages of the lock file with this text.
pub(crate) fn stamp(folder: &Path, lock: &str) -> Result<()> {
    let stamp = folder.join(STAMP);
    std::fs::write(&stamp, lock).with_context(|| stamp.display().to_string())
}
