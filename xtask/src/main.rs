//! The one entry point for people and CI: `cargo xtask --help`.

mod bench;
mod chart;
mod clients;
mod command;
mod demo;
mod fuzz;
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

use clap::{Parser, Subcommand};

/// Everything that one does with this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// All tests, in the order CI runs them; ends with a table of suites and times
    Test(suites::Selection),
    /// The suite at work on loopback: NAT report, server check, and a call through the relay
    Demo(demo::Arguments),
    /// Fuzz each target for a while with libFuzzer, on stable
    Fuzz(fuzz::Arguments),
    /// What relaying costs, beside other servers (`bench relay`); what the wire format costs
    /// (`bench wire`)
    Bench(bench::Arguments),
    /// The Helm chart against real Helm, the schemas of several Kubernetes versions and the real
    /// binaries; planted faults
    Chart,
    /// The programs as static executables, linked to musl, which need no other file
    Static,
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
