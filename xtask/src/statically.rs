//! `cargo xtask static`: builds programs that need no other file, linked to musl, for images and
//! for hosts with an old C library.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use causeway_cli::print_line;

use crate::command::{command, run_until};
use crate::{toolchain, tools, workspace};

const PROGRAMS: [&str; 3] = ["stund", "turnd", "ice-agent"];

/// Builds the programs as they are shipped, and prints their paths.
///
/// # Errors
/// The build fails, or a program needs another file.
pub(crate) fn run_static() -> Result<()> {
    let folder = build(Instant::now() + Duration::from_secs(3600))?;
    print_line(format_args!("{}: {}", folder.display(), PROGRAMS.join(", ")))?;
    Ok(())
}

/// [`run_static`], and the demonstration with them.
pub(crate) fn check(by: Instant) -> Result<()> {
    let folder = build(by)?;
    let this = workspace::target().join("debug/xtask").display().to_string();
    let folder = folder.display().to_string();
    run_until(&mut command(&this, &["demo", "--programs", &folder]), by)
}

fn build(by: Instant) -> Result<PathBuf> {
    tools::check("musl-gcc")?;
    tools::check("readelf")?;
    let target = toolchain::host("linux-musl");
    let packages: Vec<&str> = PROGRAMS.iter().flat_map(|name| ["--package", name]).collect();
    let mut build = toolchain::cargo_for(
        &target,
        &[&["build", "--release", "--bins"], &packages[..]].concat(),
        by,
    )?;
    // OpenSSL and ring are in part C.
    build.env(format!("CC_{}", target.replace('-', "_")), "musl-gcc");
    run_until(&mut build, by)?;
    let folder = workspace::target().join(&target).join("release");
    for name in PROGRAMS {
        stands_alone(&folder.join(name)).with_context(|| name)?;
    }
    Ok(folder)
}

/// Checks that the program needs no loader and no library and, where we may change the root, that
/// it runs in an otherwise empty root folder.
fn stands_alone(program: &Path) -> Result<()> {
    let mut reads = command("readelf", &["--wide", "--program-headers", "--dynamic"]);
    let said = said_by(reads.arg(program))?;
    for needs in ["INTERP", "(NEEDED)"] {
        ensure!(
            !said.contains(needs),
            "the program is not static: {}",
            said.lines().find(|line| line.contains(needs)).unwrap_or_default().trim()
        );
    }
    if !tools::is_root() {
        return Ok(());
    }
    let name = program.file_name().context("the program has no name")?;
    let root = workspace::target().join("static-root");
    if root.exists() {
        std::fs::remove_dir_all(&root).with_context(|| root.display().to_string())?;
    }
    std::fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
    std::fs::copy(program, root.join(name)).with_context(|| root.display().to_string())?;
    let mut alone = command("chroot", &["--userspec=65532:65532"]);
    alone.arg(&root).arg(Path::new("/").join(name)).arg("--version");
    said_by(&mut alone).context("the program does not run in an empty root folder").map(drop)
}

fn said_by(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| command.get_program().display().to_string())?;
    ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_a_loader_is_refused() {
        let this = std::env::current_exe().expect("it runs");
        let refused = format!("{:#}", stands_alone(&this).expect_err("it is linked to glibc"));
        assert!(refused.starts_with("the program is not static: INTERP"), "{refused}");
    }
}
