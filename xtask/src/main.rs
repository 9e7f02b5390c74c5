//! The one entry point for contributors and CI: `cargo xtask --help`.

mod bench;
mod chart;
mod clients;
mod command;
mod demo;
mod fuzz;
mod man;
mod python;
mod redis;
mod statically;
mod suite;
mod suites;
mod system;
mod test_targets;
mod toolchain;
mod tools;
mod workspace;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

/// Tests, demonstrates, measures and documents this repository
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run all tests, in the order in which CI runs them; prints a table of results at the end
    Test(suites::Selection),
    /// Show the programs at work on loopback: NAT report, server check, a call through the relay
    Demo(demo::Arguments),
    /// Fuzz each target for a limited time with libFuzzer, on stable Rust
    Fuzz(fuzz::Arguments),
    /// Measure the relay beside other servers (`bench relay`), or the wire format (`bench wire`)
    Bench(bench::Arguments),
    /// Check the Helm chart with Helm, the schemas of several Kubernetes versions and the real
    /// binaries; check that planted faults are refused
    Chart,
    /// Build the programs as static executables, linked to musl, that need no other file
    Static,
    /// Write the man pages and shell completions of the four programs to target/man
    Man,
    /// Write docs/deviations.md from the `// Deviation:` lines of the code
    Deviations,
    /// Write docs/conformance.md from tests/conformance/
    Conformance,
}

fn main() -> ExitCode {
    let arguments: Arguments = match causeway_cli::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let outcome = match arguments.task {
        Task::Test(selection) => suites::run_selection(&selection),
        Task::Demo(arguments) => demo::run_demo(&arguments),
        Task::Fuzz(arguments) => fuzz::run_targets(&arguments),
        Task::Bench(arguments) => bench::run_bench(&arguments),
        Task::Chart => chart::run_chart(),
        Task::Static => statically::run_static(),
        Task::Man => man::write(Instant::now() + Duration::from_secs(3600)),
        Task::Deviations => suites::write_document("deviations"),
        Task::Conformance => suites::write_document("conformance"),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<causeway_cli::Unwritten>() {
            Some(unwritten) => unwritten.end("cargo xtask"),
            None => {
                causeway_cli::complain(format_args!("error: {error:#}"));
                ExitCode::FAILURE
            }
        },
    }
}
