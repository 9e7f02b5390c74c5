//! A program that somebody else wrote: run with a time limit, its output kept.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::scratch::Scratch;

/// What a program wrote, both streams, and how it ended.
pub struct Output {
    /// By itself, with status 0.
    pub succeeded: bool,
    /// Both streams.
    pub text: String,
}

/// Runs the program to its end, or ends it when the time is over.
///
/// # Panics
/// It is not installed.
#[track_caller]
pub fn run(mut command: Command, limit: Duration) -> Output {
    let scratch = Scratch::new();
    let name = command.get_program().to_string_lossy().into_owned();
    // Into a file: nobody need read while we wait.
    let path = scratch.write("output", "");
    let open =
        || std::fs::OpenOptions::new().append(true).open(&path).expect("it was just written");
    command.stdin(Stdio::null()).stdout(open()).stderr(open());
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("{name}: {error}; `cargo xtask test tools` brings what is missing")
    });
    let deadline = Instant::now() + limit;
    let succeeded = loop {
        match child.try_wait().expect("it is our child") {
            Some(status) => break status.success(),
            None if Instant::now() > deadline => {
                child.kill().expect("it is our child");
                child.wait().expect("it was ended");
                break false;
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    Output { succeeded, text: scratch.read("output") }
}

/// One of the workspace's executables.
///
/// # Panics
/// It is not built.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let path = target().join("debug").join(name);
    assert!(path.is_file(), "{} is not built: cargo build --workspace --bins", path.display());
    path
}

/// Cargo's target directory: this test runs from `target/debug/deps`.
#[must_use]
pub fn target() -> PathBuf {
    let this = std::env::current_exe().expect("a program knows where it is");
    this.ancestors().nth(3).expect("target/debug/deps/interop").to_owned()
}
