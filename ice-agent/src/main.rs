//! NAT behaviour, server check, ICE between agents.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ice_agent::verdict::COULD_NOT_RUN;
use ice_agent::{check, connect, nat, rendezvous};

/// Finds out what a NAT does, whether a STUN or TURN server works, and whether two agents reach each other.
///
/// Exit status: 0 the test ran and all is well; 1 the test ran and says no; 2 it could not run.
#[derive(Debug, Parser)]
#[command(name = "ice-agent", version, about)]
struct CommandLine {
    #[command(subcommand)]
    test: Test,
}

#[derive(Debug, Subcommand)]
enum Test {
    /// Recognise the NAT between this host and a STUN server (mapping, filtering, classic name).
    Nat(nat::Args),
    /// Check a STUN or TURN server: allocation, permission, channel, a relayed loop.
    Check(check::Args),
    /// Connect to another agent with ICE and exchange data with it.
    Connect(connect::Args),
    /// Serve the meeting point through which two agents exchange candidates.
    Rendezvous(rendezvous::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let command_line: CommandLine = match causeway_cli::parse() {
        Ok(command_line) => command_line,
        Err(code) => return code,
    };
    let result = match command_line.test {
        Test::Nat(args) => nat::run(args).await,
        Test::Check(args) => check::run(args).await,
        Test::Connect(args) => connect::run(args).await,
        Test::Rendezvous(args) => rendezvous::run(args).await,
    };
    match result {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            causeway_cli::complain(format_args!("ice-agent: {error:#}"));
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}
