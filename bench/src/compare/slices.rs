//! Measurements of servers: alternating slices, the search for the highest rate, and memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::compare::stolen::Stolen;
use crate::load::{Direction, Fleet, Limits, Measured, Scenario, find_rate};
use crate::peer::Server;
use crate::report::Memory;

/// How long a server may take to finish work that it has answered.
const CALM: Duration = Duration::from_millis(50);

/// The extent of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Number of pairs of slices.
    pub(crate) pairs: usize,
    /// Duration of a slice.
    pub(crate) slice: Duration,
    /// Duration of the load before a slice, not measured, in which caches and clocks settle.
    pub(crate) settle: Duration,
}

/// The result of one slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    /// The figures of the load.
    pub(crate) measured: Measured,
    /// The processor time of the server.
    pub(crate) spent: Duration,
}

impl Slice {
    /// Processor time for each delivery, in nanoseconds.
    pub(crate) fn nanoseconds(&self) -> f64 {
        self.spent.as_nanos() as f64 / self.measured.delivered as f64
    }
}

/// Loads the servers in turn; the order alternates, too.
pub(crate) fn alternate(
    fleets: &mut [Fleet; 2],
    servers: &[Server; 2],
    extent: &Extent,
    stop: &Interrupt,
) -> Result<Vec<[Slice; 2]>> {
    let mut pairs = Vec::new();
    // The first pair warms the caches.
    for turn in 0..=extent.pairs {
        let mut of = |which: usize| {
            stop.check()?;
            measure(&mut fleets[which], &servers[which], extent)
        };
        let pair = if turn % 2 == 0 {
            [of(0)?, of(1)?]
        } else {
            let second = of(1)?;
            [of(0)?, second]
        };
        if turn > 0 {
            pairs.push(pair);
        }
    }
    Ok(pairs)
}

/// Searches for the highest good rate of each server in turn; a search is as long as a dozen
/// slices, so there are fewer.
pub(crate) fn search(
    fleets: &mut [Fleet; 2],
    extent: &Extent,
    stop: &Interrupt,
) -> Result<Vec<[Slice; 2]>> {
    // Short trials: a standstill of the machine spoils only few of them.
    let limits = Limits { trial: extent.slice / 3, ..Limits::default() };
    let mut pairs = Vec::new();
    for _ in 0..extent.pairs.div_ceil(2) {
        let mut of = |which: usize| -> Result<Slice> {
            stop.check()?;
            let found = find_rate(&mut fleets[which], &limits)?;
            if found.by_load {
                causeway_cli::complain(format_args!(
                    "{}/s: the load was at its end, not the server",
                    found.rate
                ));
            }
            ensure!(found.rate > 0, "not even the lowest rate was good");
            // The processor time is that of the whole search and does not belong to the rate found.
            Ok(Slice { measured: found.measured, spent: Duration::ZERO })
        };
        pairs.push([of(0)?, of(1)?]);
    }
    Ok(pairs)
}

/// Loads one server for a slice and measures its cost.
pub(crate) fn measure(fleet: &mut Fleet, server: &Server, extent: &Extent) -> Result<Slice> {
    if !extent.settle.is_zero() {
        fleet.run(extent.settle)?;
    }
    fleet.prepare()?;
    // A release is answered first and carried out afterwards; and the kernel accounts a thread's
    // time when it sleeps, or at the next tick.
    let calm = if fleet.releases() { CALM } else { Duration::ZERO };
    thread::sleep(calm);
    let stolen = Stolen::watch();
    let before = server.process().spent()?;
    let measured = fleet.run(extent.slice)?;
    thread::sleep(calm);
    let spent = server.process().spent()? - before;
    if measured.delivered == 0 {
        let (share, said) = (stolen.share() * 100.0, fleet.check_allocation());
        bail!(
            "nothing was delivered of {} sent. The server ran for {spent:?}; the host took \
             {share:.0} % of a processor; asked afterwards, {said}",
            measured.sent
        );
    }
    ensure!(measured.corrupt == 0, "{} deliveries were corrupt", measured.corrupt);
    ensure!(measured.misdelivered == 0, "{} deliveries went astray", measured.misdelivered);
    Ok(Slice { measured, spent })
}

/// Number of allocations that a server carries before those are made whose memory is counted.
const WARM_UP: usize = 1_000;

/// Measures a server's memory before the load and for each allocation of the fleet.
///
/// With `alone`, memory that a server takes once it is loaded, such as buffers in huge pages, does
/// not count: it serves another fleet first.
pub(crate) fn measure_memory(
    server: &Server,
    load: &Scenario,
    alone: bool,
) -> Result<(Memory, Fleet)> {
    let target = server.target(load.transport);
    let idle = server.process().memory()?;
    let first = if alone {
        let scenario = Scenario {
            allocations: WARM_UP.min(load.allocations),
            direction: Direction::Both,
            ..*load
        };
        let mut fleet = Fleet::new(&scenario, &target)?;
        fleet.run(Duration::from_millis(300))?;
        Some(fleet)
    } else {
        None
    };
    let before = server.process().memory()?;
    let fleet = Fleet::new(load, &target)?;
    let after = server.process().memory()?;
    drop(first);
    let grown = after.anonymous.saturating_sub(before.anonymous) * 1024;
    let bytes_an_allocation = grown as f64 / load.allocations as f64;
    Ok((Memory { idle_kib: idle.resident, loaded_kib: after.resident, bytes_an_allocation }, fleet))
}

/// Whether SIGINT or SIGTERM has come: checked between slices, so that servers and namespaces are
/// taken down in order.
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Starts to record the signals; a second one ends the program at once.
    pub(crate) fn watch() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&asked))?;
            signal_hook::flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Self(asked))
    }

    /// Returns an error after such a signal.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(!self.0.load(Ordering::Relaxed), "interrupted");
        Ok(())
    }
}
