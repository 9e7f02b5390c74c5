//! Python packages that the suites use: versions and hashes pinned in a lock file each, installed below the target directory.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::{command, run_until};
use crate::workspace;

/// The clients of the interop suite; `tests/interop` looks for them there.
pub(crate) fn provide_interop(deadline: Instant) -> Result<()> {
    let lock = workspace::root().join("tests/interop/aiortc/requirements.txt");
    provide(&lock, &workspace::target().join("interop-venv"), deadline)
}

/// Makes the virtual environment in `folder`, unless the one there is of the same lock file.
pub(crate) fn provide(lock: &Path, folder: &Path, deadline: Instant) -> Result<()> {
    let wanted = std::fs::read_to_string(lock).with_context(|| lock.display().to_string())?;
    let stamp = folder.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        causeway_cli::print_line(format_args!("{}: there", folder.display()))?;
        return Ok(());
    }
    let pip = folder.join("bin/pip").display().to_string();
    let folder = folder.display().to_string();
    run_until(&mut command("python3", &["-m", "venv", "--clear", &folder]), deadline)?;
    let lock = lock.display().to_string();
    let arguments = ["install", "--quiet", "--require-hashes", "--only-binary=:all:", "-r", &lock];
    run_until(&mut command(&pip, &arguments), deadline)?;
    std::fs::write(&stamp, wanted).with_context(|| stamp.display().to_string())
}
