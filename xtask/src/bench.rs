//! `cargo xtask bench`: measures the relay beside other servers, and the wire format with
//! criterion.

use anyhow::Result;

use crate::command::{cargo, command, run};
use crate::workspace;

/// The measurement to run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Measure turnd and another relay in one run: `cargo xtask bench relay --against coturn`; `--
    /// --help` lists all options
    Relay {
        /// Arguments for `turnload compare`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure the wire format beside stun-types
    Wire {
        /// Run only the measurements whose name contains this text
        filter: Option<String>,
    },
}

/// Runs the measurement, in a release build.
pub(crate) fn run_bench(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Relay { arguments } => relay(arguments),
        What::Wire { filter } => wire(filter.as_deref()),
    }
}

/// Builds the servers as they are shipped, and the floors, and compares them.
fn relay(arguments: &[String]) -> Result<()> {
    run(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "turnd",
        "--package",
        "stund",
        "--package",
        "causeway-bench",
        "--bins",
    ]))?;
    run(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "causeway-net",
        "--example",
        "floor_epoll",
        "--example",
        "floor_uring",
    ]))?;
    let turnload = workspace::target().join("release/turnload");
    run(command(&turnload.display().to_string(), &["compare"]).args(arguments))
}

fn wire(filter: Option<&str>) -> Result<()> {
    let mut bench = cargo(&["bench", "--package", "causeway-wire", "--benches"]);
    if let Some(filter) = filter {
        bench.args(["--", filter]);
    }
    run(&mut bench)
}
