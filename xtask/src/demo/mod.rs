//! `cargo xtask demo`: the suite at work on loopback, with no privilege and nothing to install.

mod call;
mod crash;
mod credentials;
mod part;
mod port;
mod process;
mod scratch;
mod servers;
mod stop;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::command::{cargo, run};
use call::call;
use crash::crash;
use part::{Part, report};
use process::Process;
use scratch::Scratch;
use servers::Servers;
use stop::Stop;

/// How to go about it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Take the services as they were last built
    #[arg(long)]
    built: bool,
    /// Take the services that are in this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "built")]
    programs: Option<PathBuf>,
    /// Also show a call that outlives a crash of turnd, which keeps its allocations in this Redis:
    /// `redis://[user:password@]host:port`
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
}

/// A part that takes longer is broken.
const PART: Duration = Duration::from_secs(30);

/// Builds the services, starts them, shows each of them at work, and ends them.
///
/// # Errors
/// A part failed, or somebody pressed Ctrl-C; everything started is ended and removed then too.
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
    let scratch = Scratch::new()?;
    let mut parts = Vec::new();

    let (servers, part) = Part::of("servers", || Servers::start(&scratch, &stop));
    parts.push(part);
    if let Some(servers) = servers {
        heading("What the NAT in front of us does: there is none on loopback")?;
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
        heading("A call between two agents: the caller may use its relay only")?;
        parts.push(Part::of("ice-agent connect, twice", || call(&servers, &scratch, &stop)).1);
        if let Some(redis) = &arguments.redis {
            heading("A call whose relay crashes: turnd is killed in the middle, and comes back")?;
            parts.push(
                Part::of("a call outlives a crash", || crash(redis, &servers, &scratch, &stop)).1,
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
    Process::shown("ice-agent nat", &mut agent, scratch)?.succeeded_within(PART, stop)
}

fn check(servers: &Servers, transport: &str, scratch: &Scratch, stop: &Stop) -> Result<()> {
    let mut agent = process::built("ice-agent");
    agent.args(["check", &servers.turn_uri(transport)]);
    servers.credentials.give_to(&mut agent);
    Process::shown("ice-agent check", &mut agent, scratch)?.succeeded_within(PART, stop)
}

fn heading(text: &str) -> Result<()> {
    Ok(causeway_cli::print_line(format_args!("\n{text}"))?)
}
