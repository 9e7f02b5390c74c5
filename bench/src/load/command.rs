use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use crate::load::{Access, Direction, Fleet, Process, Scenario, Target, Transport};

/// What `turnload run` takes.
#[derive(Args, Debug)]
pub struct Flags {
    /// The server's listener
    server: SocketAddr,
    /// The user
    #[arg(long, short)]
    user: String,
    /// His password
    #[arg(long, short)]
    password: String,
    /// What is between the clients and the server
    #[arg(long, value_enum, default_value_t = Transport::Udp)]
    transport: Transport,
    /// Which way the data goes
    #[arg(long, value_enum, default_value_t = Direction::ToPeer)]
    direction: Direction,
    /// Clients, each with one allocation
    #[arg(long, default_value_t = 100)]
    allocations: usize,
    /// Bytes of application data in each datagram
    #[arg(long, default_value_t = 160, value_parser = clap::value_parser!(u16).range(16..=1400))]
    size: u16,
    /// So long
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The server's process, to read what the load costs it
    #[arg(long)]
    pid: Option<u32>,
}

/// Loads one running server, and says what came of it.
///
/// # Errors
/// When the server cannot be used, or a delivery was wrong.
pub fn run(flags: &Flags) -> Result<()> {
    let target = Target::new(flags.server, Access::Turn { username: flags.user.clone(), password: flags.password.clone() });
    let scenario = Scenario {
        transport: flags.transport,
        direction: flags.direction,
        allocations: flags.allocations,
        size: flags.size.into(),
        ..Scenario::default()
    };
    let process = flags.pid.map(Process::new);
    let mut fleet = Fleet::new(&scenario, &target)?;
    let before = process.map(|process| process.spent()).transpose()?;
    let measured = fleet.run(Duration::from_secs(flags.seconds))?;
    println!("sent {}, delivered {}, lost {}, {:.0}/s", measured.sent, measured.delivered, measured.lost(), measured.rate());
    if let (Some(process), Some(before)) = (process, before) {
        let spent = process.spent()? - before;
        println!("{:.0} ns a delivery; {:?} KiB", spent.as_nanos() as f64 / measured.delivered.max(1) as f64, process.memory()?);
    }
    ensure!(measured.corrupt == 0 && measured.misdelivered == 0, "not every delivery was right");
    Ok(())
}
