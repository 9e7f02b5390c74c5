//! Targets whose standard library the user's toolchain may lack. It is then installed with a second
//! toolchain below the target directory, and the user's rustup stays unchanged.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, command, output_of, run_until};
use crate::{tools, workspace};

/// The file that names the pinned toolchain.
const PIN: &str = include_str!("../../rust-toolchain.toml");

/// `cargo` with these arguments and `--target`, by a toolchain that has the target's standard
/// library.
///
/// # Errors
/// The library is missing, and there is no rustup to fetch it.
pub(crate) fn cargo_for(target: &str, arguments: &[&str], by: Instant) -> Result<Command> {
    let mut build = cargo(arguments);
    build.args(["--target", target]);
    if !has_target(&mut command("rustc", &[]), target) {
        for (name, value) in provide(target, by)? {
            build.env(name, value);
        }
    }
    Ok(build)
}

/// Installs the pinned toolchain with the target into a folder of ours, unless it is there. Returns
/// the variables that choose it.
fn provide(target: &str, by: Instant) -> Result<[(&'static str, String); 2]> {
    let version = pinned()?;
    let home = home().display().to_string();
    let chosen = [("RUSTUP_HOME", home), ("RUSTUP_TOOLCHAIN", version.to_owned())];
    let ours = |program: &str, arguments: &[&str]| {
        let mut ours = command(program, arguments);
        ours.envs(chosen.iter().map(|(name, value)| (*name, value.as_str())));
        ours
    };
    if home_has(version) && has_target(&mut ours("rustc", &[]), target) {
        return Ok(chosen);
    }
    if !tools::is_there("rustup") {
        bail!(
            "Rust's standard library for {target} is missing, and rustup is not installed: install \
            the library the way you installed Rust {version} (with rustup: `rustup target add \
            {target}`)"
        );
    }
    let arguments = [
        "toolchain",
        "install",
        version,
        "--profile",
        "minimal",
        "--no-self-update",
        "--target",
        target,
    ];
    run_until(&mut ours("rustup", &arguments), by).with_context(|| {
        format!(
            "cannot fetch the standard library for {target}; `rustup target add {target}` adds it to \
            your own toolchain"
        )
    })?;
    Ok(chosen)
}

fn home() -> PathBuf {
    workspace::target().join("rustup")
}

/// Checked before rustc is run: without a toolchain, rustup's proxy would install one by itself.
fn home_has(version: &str) -> bool {
    let toolchains = std::fs::read_dir(home().join("toolchains")).into_iter().flatten().flatten();
    toolchains
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{version}-")))
}

/// Whether this rustc has the standard library of the target.
fn has_target(rustc: &mut Command, target: &str) -> bool {
    let folder = output_of(rustc.args(["--print", "target-libdir", "--target", target]));
    let files = folder.and_then(|folder| std::fs::read_dir(folder.trim()).ok());
    files
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// The version in `rust-toolchain.toml`.
fn pinned() -> Result<&'static str> {
    let line = PIN.lines().find_map(|line| line.strip_prefix("channel = \""));
    line.and_then(|rest| rest.strip_suffix('"')).context("rust-toolchain.toml names no channel")
}

/// `aarch64-unknown-linux-gnu`, for the architecture that this program runs on.
pub(crate) fn host(system: &str) -> String {
    format!("{}-unknown-{system}", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_toolchain_is_read() {
        assert!(pinned().is_ok_and(|version| version.split('.').count() == 3));
    }

    #[test]
    fn a_target_is_there_or_not() {
        assert!(has_target(&mut command("rustc", &[]), &host("linux-gnu")));
        assert!(!has_target(&mut command("rustc", &[]), "mipsel-sony-psx"));
    }
}
