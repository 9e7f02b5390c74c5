//! NAT behaviour, server check, ICE between agents.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ice_agent::verdict::{COULD_NOT_RUN, Verdict, could_not_run};
use ice_agent::{check, connect, environment, nat, output, rendezvous};

/// Finds out what a NAT does, whether a STUN or TURN server works, and whether two agents reach
/// each other.
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

impl Test {
    async fn run(self) -> anyhow::Result<Verdict> {
        match self {
            Self::Nat(args) => nat::run(args).await,
            Self::Check(args) => check::run(args).await,
            Self::Connect(args) => connect::run(args).await,
            Self::Rendezvous(args) => rendezvous::run(args).await,
        }
    }

    /// Whether a JSON document is expected on standard output.
    fn wants_json(&self) -> bool {
        match self {
            Self::Nat(args) => args.json,
            Self::Check(args) => args.json,
            Self::Connect(args) => args.json,
            Self::Rendezvous(_) => false,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    // Before the flags are read: their errors, too, are redacted.
    let is_redacted = std::env::args_os().any(|argument| argument == "--redact");
    if is_redacted {
        output::redact();
    }
    let test = match causeway_cli::parse_from::<CommandLine>(std::env::args_os()) {
        Ok(command_line) => command_line.test,
        Err(error) => return end_of_bad_command_line(&error, is_redacted),
    };
    let json = test.wants_json();
    let result = match environment::check(std::env::vars_os()) {
        Ok(()) => test.run().await,
        Err(error) => Err(error),
    };
    match result {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            let reason = format!("{error:#}");
            output::complain(format_args!("ice-agent: {reason}"));
            if json {
                // The exit status tells of the failure already.
                let _ = output::json(&could_not_run(&reason));
            }
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

/// Tells people, and programs if they asked for JSON, that the command line is not understood.
fn end_of_bad_command_line(error: &clap::Error, is_redacted: bool) -> ExitCode {
    let text = error.to_string();
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let reason = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        // The exit status tells of the failure already.
        let _ = output::json(&could_not_run(reason));
    }
    if error.use_stderr() && is_redacted {
        output::complain(text.trim_end());
        return ExitCode::from(COULD_NOT_RUN);
    }
    causeway_cli::end(error, "ice-agent")
}
