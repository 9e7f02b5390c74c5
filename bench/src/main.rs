//! `turnload`: what relaying costs a TURN server, as the ratio of two servers that run at once.
//!
//! Both servers hold the same allocations; the load changes from one to the other every fraction of a second, so that what else the machine
//! does falls on both. A server's cost is its threads' time on the processor (`/proc/PID/task/*/schedstat`) for each datagram delivered.

mod certificate;
mod client;
mod cpu;
mod fleet;
mod flood;
mod leg;
mod report;
mod server;
mod stranger;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;

use crate::fleet::{Direction, Fleet};
use crate::leg::Transport;
use crate::server::Server;

/// Compares what two TURN servers spend on a relayed datagram. All traffic is on loopback.
#[derive(Parser)]
#[command(name = "turnload")]
struct Flags {
    /// The turnd to measure
    #[arg(long, default_value = "target/release/turnd")]
    turnd: PathBuf,
    /// The server to measure against: a coturn turnserver
    #[arg(long, default_value = "turnserver")]
    against: PathBuf,
    /// Allocations of each server
    #[arg(long, default_value_t = 100)]
    allocations: usize,
    /// What is between the clients and the server
    #[arg(long, value_enum, default_value_t = Transport::Udp)]
    transport: Transport,
    /// Bytes of application data in each datagram; over TCP and TLS a multiple of four
    #[arg(long, default_value_t = 160, value_parser = clap::value_parser!(u16).range(8..=1400))]
    size: u16,
    /// Pairs of slices for each direction
    #[arg(long, default_value_t = 14)]
    pairs: usize,
    /// A slice, in milliseconds
    #[arg(long, default_value_t = 300)]
    slice: u64,
    /// Instead: what good calls of turnd feel while so many strangers a second begin a TLS or DTLS handshake and leave it, for ten seconds
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..=2000))]
    flood: Option<u32>,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    ensure!((1..=5000).contains(&flags.allocations) && (1..=200).contains(&flags.pairs), "from 1 to 5000 allocations, 1 to 200 pairs");
    ensure!(flags.size % 4 == 0 || matches!(flags.transport, Transport::Udp | Transport::Dtls), "a multiple of four bytes");
    if let Some(rate) = flags.flood {
        return flood::run(&flags.turnd, rate, Duration::from_secs(10));
    }
    let ours = Server::turnd(&flags.turnd, &[flags.transport])?;
    let theirs = Server::coturn(&flags.against, flags.transport)?;
    let connect =
        |server: &Server, port: u16| Fleet::new(flags.transport, server.address(), flags.allocations, flags.size.into(), peer(port));
    let (mut us, mut them) = (connect(&ours, 0)?, connect(&theirs, 0)?);
    println!("{:?}, {} allocations, {} bytes, {} pairs of {} ms", flags.transport, flags.allocations, flags.size, flags.pairs, flags.slice);
    for direction in [Direction::ToPeer, Direction::ToClient, Direction::Both] {
        let mut pairs = Vec::new();
        for turn in 0..flags.pairs + 1 {
            let slice = Duration::from_millis(flags.slice);
            let a = fleet::measure(&mut us, &ours, direction, slice)?;
            let b = fleet::measure(&mut them, &theirs, direction, slice)?;
            // The first pair warms the caches.
            if turn > 0 {
                pairs.push((a, b));
            }
        }
        report::print(direction, &pairs);
    }
    Ok(())
}

fn peer(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
