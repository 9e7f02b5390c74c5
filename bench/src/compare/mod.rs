//! Two servers hold the same allocations; the load changes from one to the other every fraction of a second, so that what else the machine
//! does falls on both. A server's cost is its threads' time on the processor for each datagram delivered.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use crate::load::{Direction, Fleet, Process, Scenario, Transport};
use crate::peer::Server;
use crate::report;

/// What `turnload compare` takes.
#[derive(Args, Debug)]
pub struct Flags {
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
}

/// Compares the two servers in each direction. All traffic is on loopback.
///
/// # Errors
/// When a server does not start, or relays nothing.
pub fn run(flags: &Flags) -> Result<()> {
    ensure!((1..=200).contains(&flags.pairs), "from 1 to 200 pairs");
    let ours = Server::turnd(&flags.turnd, &[flags.transport])?;
    let theirs = Server::coturn(&flags.against, flags.transport)?;
    println!("{:?}, {} allocations, {} bytes, {} pairs of {} ms", flags.transport, flags.allocations, flags.size, flags.pairs, flags.slice);
    for direction in [Direction::ToPeer, Direction::ToClient, Direction::Both] {
        let scenario = Scenario {
            transport: flags.transport,
            direction,
            allocations: flags.allocations,
            size: flags.size.into(),
            ..Scenario::default()
        };
        let [mut us, mut them] = [Fleet::new(&scenario, &ours.target())?, Fleet::new(&scenario, &theirs.target())?];
        let mut pairs = Vec::new();
        for turn in 0..flags.pairs + 1 {
            let slice = Duration::from_millis(flags.slice);
            let pair = (measure(&mut us, ours.process(), slice)?, measure(&mut them, theirs.process(), slice)?);
            // The first pair warms the caches.
            if turn > 0 {
                pairs.push(pair);
            }
        }
        report::print(direction, &pairs);
    }
    Ok(())
}

/// Loads a server for `slice` and reads what that cost it.
fn measure(fleet: &mut Fleet, server: &Process, slice: Duration) -> Result<report::Slice> {
    let before = server.spent()?;
    let measured = fleet.run(slice)?;
    let spent = server.spent()? - before;
    ensure!(measured.delivered > 0, "nothing was relayed");
    let nanoseconds = spent.as_secs_f64() * 1e9 / measured.delivered as f64;
    Ok(report::Slice { nanoseconds, rate: measured.rate(), lost: measured.lost() })
}
