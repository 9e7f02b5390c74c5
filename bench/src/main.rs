//! `turnload`: a load generator for TURN servers, which measures what the load costs the server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use causeway_bench::{compare, flood, load};
use causeway_cli::{Unwritten, complain};
use clap::{Parser, Subcommand};

/// Load generator for TURN servers; measures what the load costs the server
#[derive(Parser)]
#[command(name = "turnload", version)]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Loads one running server and checks every delivery
    Run(load::Flags),
    /// Compares the cost of a relayed datagram on two servers
    Compare(compare::Flags),
    /// Measures the calls of turnd during a flood of half-open handshakes, for ten seconds
    Flood {
        /// The turnd program to measure
        #[arg(long, default_value = "target/release/turnd")]
        turnd: PathBuf,
        /// Half-open handshakes a second, half of them over TLS and half over DTLS
        #[arg(value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..=2000))]
        rate: u32,
    },
}

fn main() -> ExitCode {
    let flags: Flags = match causeway_cli::parse() {
        Ok(flags) => flags,
        Err(code) => return code,
    };
    let outcome = match flags.command {
        Command::Run(flags) => load::run(&flags),
        Command::Compare(flags) => compare::run(&flags),
        Command::Flood { turnd, rate } => flood::run(&turnd, rate, Duration::from_secs(10)),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    match error.downcast_ref::<Unwritten>() {
        Some(unwritten) => unwritten.end("turnload"),
        None => {
            complain(format_args!("turnload: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
