//! `cargo xtask bench`: the relay beside others, and criterion's figures of the wire format.

use anyhow::Result;

use crate::command::{cargo, command, run};
use crate::workspace;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// turnd beside another relay, in one run: `cargo xtask bench relay --against coturn`; `--
    /// --help` says what else
    Relay {
        /// What `turnload compare` takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The wire format, beside stun-types
    Wire {
        /// Only the figures whose name contains this
        filter: Option<String>,
    },
}

/// Measures.
pub(crate) fn run_bench(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Relay { arguments } => relay(arguments),
        What::Wire { filter } => wire(filter.as_deref()),
    }
}

/// Builds what is measured as it is shipped, and the floors.
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
