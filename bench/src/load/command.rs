//! `turnload run`: loads one running server and prints the figures.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use causeway_cli::{answer_line, print_line};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::load::output::{self, Cost};
use crate::load::{
    Access, Direction, Fleet, Limits, Measured, Operation, Pace, Process, Scenario, Subnet, Target,
    Traffic, Transport, find_rate,
};

/// The arguments of `turnload run`.
#[derive(Args, Debug)]
pub struct Flags {
    /// The server's listener for the transport, such as 192.0.2.1:3478
    server: SocketAddr,
    /// The user name; the server names the realm
    #[arg(long, short, required_unless_present = "floor", default_value = "")]
    user: String,
    /// The user's password
    #[arg(long, short, default_value = "", hide_default_value = true)]
    password: String,
    /// The server is a floor forwarder, which has no users
    #[arg(long)]
    floor: bool,
    /// The transport between the clients and the server
    #[arg(long, value_parser = transports(), default_value_t = Transport::Udp)]
    transport: Transport,
    /// The direction of the data
    #[arg(long, value_enum, default_value_t = Direction::ToPeer)]
    direction: Direction,
    /// The operation that is repeated
    #[arg(long, value_enum, default_value_t = Operation::Channel)]
    operation: Operation,
    /// Number of clients, each with one allocation and a peer of its own; 1 to 20000
    #[arg(long, short = 'n', default_value_t = 100)]
    allocations: usize,
    /// The sizes and the order of the datagrams
    #[arg(long, value_enum, default_value_t = Traffic::Even)]
    traffic: Traffic,
    /// Bytes of application data in each datagram; the maximum for mixed sizes
    #[arg(long, short, default_value_t = 160, value_parser = clap::value_parser!(u16).range(16..=1400))]
    size: u16,
    /// Number of successive datagrams in the same direction
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    burst: u8,
    /// Send each burst as one piece and receive it joined, as behind a network card that splits and
    /// joins (UDP_SEGMENT, UDP_GRO)
    #[arg(long)]
    gro: bool,
    /// Number of datagrams (or requests) under way at a time; by default as many as no buffer loses
    #[arg(long, conflicts_with_all = ["rate", "find_rate"])]
    window: Option<usize>,
    /// Datagrams (or requests) a second, evenly spaced, independent of the replies
    #[arg(long, conflicts_with = "find_rate")]
    rate: Option<u32>,
    /// Search for the highest rate with a loss below 0.1 % and a p99 below 10 ms; each rate is
    /// tried for --seconds
    #[arg(long)]
    find_rate: bool,
    /// Duration in seconds; 1 to 600
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The clients' addresses, which must be local: on loopback, or added with `ip route add local`
    #[arg(long, default_value = "127.1.0.0/16")]
    clients_subnet: Subnet,
    /// The peers' addresses, which must be local as well
    #[arg(long, default_value = "127.2.0.0/16")]
    peers_subnet: Subnet,
    /// The server's process id, to measure what the load costs it
    #[arg(long)]
    pid: Option<u32>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Parses the name of a transport; `--help` and errors list the names.
fn transports() -> impl TypedValueParser<Value = Transport> {
    PossibleValuesParser::new(Transport::NAMES).try_map(|name| name.parse::<Transport>())
}

impl Flags {
    fn target(&self) -> Target {
        let access = if self.floor {
            Access::Floor
        } else {
            Access::Turn { username: self.user.clone(), password: self.password.clone() }
        };
        Target {
            address: self.server,
            access,
            clients: self.clients_subnet,
            peers: self.peers_subnet,
        }
    }

    fn scenario(&self) -> Scenario {
        let pace = match (self.window, self.rate) {
            (Some(window), _) => Pace::Window(window),
            (None, Some(rate)) => Pace::Rate(rate),
            (None, None) => Pace::Auto,
        };
        Scenario {
            transport: self.transport,
            direction: self.direction,
            operation: self.operation,
            allocations: self.allocations,
            traffic: self.traffic,
            size: self.size.into(),
            burst: self.burst.into(),
            pace,
            offload: self.gro,
        }
        .settled()
    }
}

/// Loads one running server and prints the figures.
///
/// # Errors
/// If the server cannot be used, nothing was delivered, or a delivery was wrong.
pub fn run(flags: &Flags) -> Result<()> {
    let (scenario, target) = (flags.scenario(), flags.target());
    let time = Duration::from_secs(flags.seconds);
    let mut fleet = Fleet::new(&scenario, &target)?;
    if !flags.json {
        print_line(output::heading(&scenario, &target))?;
        print_line(output::HINT)?;
    }
    if flags.find_rate {
        let found = find_rate(&mut fleet, &Limits { trial: time, ..Limits::default() })?;
        answer_line(if flags.json {
            output::found_json(&scenario, &found)
        } else {
            output::found_table(&found)
        })?;
        return right(&found.measured);
    }
    let process = flags.pid.map(Process::new);
    let before = process.map(|process| process.spent()).transpose()?;
    let own = Process::new(std::process::id());
    let own_before = own.spent()?;
    let measured = fleet.run(time)?;
    let own = own.spent()?.saturating_sub(own_before);
    let cost = match (process, before) {
        (Some(process), Some(before)) => {
            Some(Cost { spent: process.spent()?.saturating_sub(before), memory: process.memory()? })
        }
        _ => None,
    };
    answer_line(if flags.json {
        output::json(&scenario, &measured, own, cost)
    } else {
        output::table(&measured, Some(own), cost)
    })?;
    right(&measured)
}

fn right(measured: &Measured) -> Result<()> {
    ensure!(
        measured.corrupt == 0 && measured.misdelivered == 0 && measured.duplicates == 0,
        "not every delivery was right"
    );
    ensure!(measured.delivered > 0, "nothing was delivered of {} sent", measured.sent);
    Ok(())
}
