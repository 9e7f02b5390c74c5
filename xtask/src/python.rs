//! The Python clients of the interop suite: versions and hashes pinned in `tests/interop/aiortc/requirements.txt`, installed
//! below the target directory.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::{command, run_until};
use crate::workspace;

/// Makes the virtual environment, unless the one there is of the same lock file.
pub(crate) fn provide(deadline: Instant) -> Result<()> {
    let lock = workspace::root().join("tests/interop/aiortc/requirements.txt");
    let wanted = std::fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
    let stamp = environment().join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("{}: there", environment().display());
        return Ok(());
    }
    let folder = environment().display().to_string();
    run_until(&mut command("python3", &["-m", "venv", "--clear", &folder]), deadline)?;
    let pip = environment().join("bin/pip").display().to_string();
    let lock = lock.display().to_string();
    let arguments = ["install", "--quiet", "--require-hashes", "--only-binary=:all:", "-r", &lock];
    run_until(&mut command(&pip, &arguments), deadline)?;
    std::fs::write(&stamp, wanted).with_context(|| stamp.display().to_string())
}

/// Where the environment is; `tests/interop` looks there.
fn environment() -> PathBuf {
    workspace::target().join("interop-venv")
}
