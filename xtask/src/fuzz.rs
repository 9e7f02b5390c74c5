//! `cargo xtask fuzz`: libFuzzer guided by coverage, on the stable compiler, bounded in time and
//! memory.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::command::{cargo, run, run_until};
use crate::{toolchain, workspace};

/// SanitizerCoverage without a sanitizer. Stable Rust offers that, and libFuzzer needs no more.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions \
    -Coverflow-checks";

/// The targets, and the time for each.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Number of seconds for each target
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Fuzz only these targets
    targets: Vec<String>,
}

/// Builds the targets and runs each for its time. New inputs go to `target-fuzz/<target>/`.
pub(crate) fn run_targets(arguments: &Arguments) -> Result<()> {
    let names = names(&arguments.targets)?;
    let target = workspace::root().join("target-fuzz");
    let host = toolchain::host("linux-gnu");
    let mut build = cargo(&["build", "--release", "--package", "causeway-fuzz", "--bins"]);
    // With an explicit --target the flags reach our code, not the build scripts.
    build.args(["--target", &host]).arg("--target-dir").arg(&target);
    run(build.env("RUSTFLAGS", FLAGS))?;
    for name in &names {
        fuzz(name, &target, &host, arguments.seconds)?;
    }
    Ok(())
}

fn fuzz(name: &str, target: &std::path::Path, host: &str, seconds: u64) -> Result<()> {
    // New inputs are written to the first folder, which is not the committed one.
    let found = target.join(name);
    std::fs::create_dir_all(&found).with_context(|| found.display().to_string())?;
    let program = target.join(host).join("release").join(name);
    let mut fuzz = crate::command::command(&program.display().to_string(), &[]);
    fuzz.arg(format!("-max_total_time={seconds}"))
        .args(["-rss_limit_mb=1024", "-timeout=5", "-max_len=70000", "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/", found.display()))
        .args([&found, &corpus(name)]);
    let spare = Duration::from_secs(60);
    run_until(&mut fuzz, Instant::now() + Duration::from_secs(seconds) + spare)
        .with_context(|| format!("{name} failed: the input is in {}", found.display()))
}

/// The names of the targets: the folders of the committed corpus.
fn names(wanted: &[String]) -> Result<Vec<String>> {
    let corpora = workspace::root().join("tests/fuzz/corpus");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&corpora).with_context(|| corpora.display().to_string())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for name in wanted {
        ensure!(
            names.contains(name),
            "there is no fuzz target {name}; choose from: {}",
            names.join(", ")
        );
    }
    if !wanted.is_empty() {
        names.retain(|name| wanted.contains(name));
    }
    ensure!(!names.is_empty(), "{} contains no corpus", corpora.display());
    Ok(names)
}

fn corpus(name: &str) -> PathBuf {
    workspace::root().join("tests/fuzz/corpus").join(name)
}
