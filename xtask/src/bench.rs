//! `cargo xtask bench`: criterion's figures.

use anyhow::Result;

use crate::command::{cargo, run};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the figures whose name contains this
    filter: Option<String>,
}

/// Measures the wire format.
pub(crate) fn run_bench(arguments: &Arguments) -> Result<()> {
    let mut bench = cargo(&["bench", "--package", "causeway-wire", "--benches"]);
    if let Some(filter) = &arguments.filter {
        bench.args(["--", filter]);
    }
    run(&mut bench)
}
