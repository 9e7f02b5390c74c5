//! `cargo xtask demo`: the suite at work on loopback, with no privilege and nothing to install.

mod call;
mod crash;
mod credentials;
mod part;
mod process;
mod servers;
mod stop;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use causeway_kit::Scratch;

use crate::command::{cargo, run};
use call::call;
use crash::crash;
use part::{Part, report};
use process::Process;
use servers::Servers;
use stop::Stop;

/// The programs and parts of the demonstration.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Use the programs as they were last built
    #[arg(long)]
    built: bool,
    /// Use the programs in this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "built")]
    programs: Option<PathBuf>,
    /// Also show a call that survives a crash of turnd. turnd keeps its allocations in this Redis:
    /// `redis://[user:password@]host:port`
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
}

/// How long a part may take.
const PART: Duration = Duration::from_secs(30);

/// Builds the services, starts them, shows each of them at work, and ends them.
///
/// # Errors
/// A part failed, or Ctrl-C was pressed. What was started is ended and removed then, too.
pub(crate) fn run_demo(arguments: &Arguments) -> Result<()> {
    if let Some(folder) = &arguments.programs {
        process::take_from(folder);
    } else if !arguments.built {
        run(&mut cargo(&[
            "build",
            "--package",
            "stund",
            "--package",
            "turnd",
            "--package",
            "ice-agent",
        ]))?;
    }
    let started = Instant::now();
    let stop = Stop::on_signals()?;
    let scratch = Scratch::try_new()?;
    let mut parts = Vec::new();

    let (servers, part) = Part::of("servers", || Servers::start(&scratch, &stop));
    parts.push(part);
    if let Some(servers) = servers {
        heading("The NAT in front of this machine: on loopback there is none")?;
        parts.push(Part::of("ice-agent nat", || nat(&servers, &scratch, &stop)).1);
        for transport in ["udp", "tcp"] {
            heading(&format!("Whether the TURN server works, over {}", transport.to_uppercase()))?;
            parts.push(
                Part::of(&format!("ice-agent check, {transport}"), || {
                    check(&servers, transport, &scratch, &stop)
                })
                .1,
            );
        }
        heading("A call between two agents: the caller may only use its relay")?;
        parts.push(Part::of("ice-agent connect, twice", || call(&servers, &scratch, &stop)).1);
        if let Some(redis) = &arguments.redis {
            heading(
                "A call whose relay crashes: turnd is killed during the call and started again",
            )?;
            parts.push(
                Part::of("a call survives a crash", || crash(redis, &servers, &scratch, &stop)).1,
            );
        }
        parts.push(Part::of("all ended cleanly", || servers.end()).1);
    }
    heading("The demonstration")?;
    report(&parts, started.elapsed())
}

fn nat(servers: &Servers, scratch: &Scratch, stop: &Stop) -> Result<()> {
    let mut agent = process::built("ice-agent");
    agent.args(["nat", "--server", &servers.stun.to_string()]);
    Process::shown("ice-agent nat", agent, scratch)?.succeeded_within(PART, stop)
}

fn check(servers: &Servers, transport: &str, scratch: &Scratch, stop: &Stop) -> Result<()> {
    let mut agent = process::built("ice-agent");
    agent.args(["check", &servers.turn_uri(transport)]);
    servers.credentials.give_to(&mut agent);
    Process::shown("ice-agent check", agent, scratch)?.succeeded_within(PART, stop)
}

fn heading(text: &str) -> Result<()> {
    Ok(causeway_cli::print_line(format_args!("\n{text}"))?)
}
