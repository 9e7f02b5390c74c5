//! NAT behaviour, server check, ICE between agents.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ice_agent::verdict::{COULD_NOT_RUN, Verdict, could_not_run};
use ice_agent::{check, connect, environment, nat, output, rendezvous};

/// Measures what a NAT does, whether a STUN or TURN server works, and whether two agents can reach
/// each other.
///
/// Exit status: 0 if the test ran and passed, 1 if it ran and failed, 2 if it could not run.
#[derive(Debug, Parser)]
#[command(name = "ice-agent", version, about)]
struct CommandLine {
    #[command(subcommand)]
    test: Test,
}

#[derive(Debug, Subcommand)]
enum Test {
    /// Identify the NAT between this host and a STUN server: mapping, filtering, classic name.
    Nat(nat::Args),
    /// Check a STUN or TURN server: allocation, permission, channel, relayed data.
    Check(check::Args),
    /// Connect to another agent with ICE and exchange data with it.
    Connect(connect::Args),
    /// Run the rendezvous server through which two agents exchange candidates.
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

    /// Whether standard output gets a JSON document.
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
    // Set before the command line is parsed, because its errors are redacted too.
    let is_redacted = std::env::args_os().any(|argument| argument == "--redact");
    if is_redacted {
        output::redact();
    }
    let bad = |error: &_| end_of_bad_command_line(error, is_redacted);
    let test = match causeway_cli::parse_or::<CommandLine>(bad) {
        Ok(command_line) => command_line.test,
        Err(code) => return code,
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
                // If this write fails, the exit status still reports the error.
                let _ = output::json(&could_not_run(&reason));
            }
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

/// Reports a bad command line: as text, and as JSON too if `--json` was given.
fn end_of_bad_command_line(error: &clap::Error, is_redacted: bool) -> ExitCode {
    let text = error.to_string();
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let reason = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        // If this write fails, the exit status still reports the error.
        let _ = output::json(&could_not_run(reason));
    }
    if error.use_stderr() && is_redacted {
        output::complain(text.trim_end());
        return ExitCode::from(COULD_NOT_RUN);
    }
    causeway_cli::end(error, "ice-agent")
}
