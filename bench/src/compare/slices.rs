use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::compare::interrupt::Interrupt;
use crate::compare::stolen::Stolen;
use crate::load::{Fleet, Limits, Measured, find_rate};
use crate::peer::Server;

/// How long a server has to finish what it has answered.
const CALM: Duration = Duration::from_millis(50);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Pairs of slices.
    pub(crate) pairs: usize,
    /// A slice.
    pub(crate) slice: Duration,
    /// The load before a slice that is not measured: caches and clocks settle.
    pub(crate) settle: Duration,
}

/// What one slice showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    /// The load's figures.
    pub(crate) measured: Measured,
    /// The server's time on the processor.
    pub(crate) spent: Duration,
}

impl Slice {
    /// The server's nanoseconds for each delivery.
    pub(crate) fn nanoseconds(&self) -> f64 {
        self.spent.as_nanos() as f64 / self.measured.delivered as f64
    }
}

/// Loads the servers in turn; who is first alternates, too.
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

/// Searches the highest good rate of each in turn; a search is as long as a dozen slices, so there
/// are fewer.
pub(crate) fn search(
    fleets: &mut [Fleet; 2],
    extent: &Extent,
    stop: &Interrupt,
) -> Result<Vec<[Slice; 2]>> {
    // Short trials: a moment in which the machine stands still spoils few of them.
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
            // The time is that of the whole search, and says nothing of the rate found.
            Ok(Slice { measured: found.measured, spent: Duration::ZERO })
        };
        pairs.push([of(0)?, of(1)?]);
    }
    Ok(pairs)
}

/// Loads one server for a slice, and reads what that cost it.
pub(crate) fn measure(fleet: &mut Fleet, server: &Server, extent: &Extent) -> Result<Slice> {
    if !extent.settle.is_zero() {
        fleet.run(extent.settle)?;
    }
    fleet.prepare()?;
    // A release is answered first and done afterwards; and the kernel books the time of a thread
    // when it sleeps, or at the next tick.
    let calm = if fleet.releases() { CALM } else { Duration::ZERO };
    thread::sleep(calm);
    let stolen = Stolen::watch();
    let before = server.process().spent()?;
    let measured = fleet.run(extent.slice)?;
    thread::sleep(calm);
    let spent = server.process().spent()? - before;
    if measured.delivered == 0 {
        let (share, said) = (stolen.share() * 100.0, fleet.inquire());
        bail!(
            "nothing was delivered of {} sent. The server ran for {spent:?}; the host took {share:.0} % of a processor; asked afterwards, {said}",
            measured.sent
        );
    }
    ensure!(measured.corrupt == 0, "{} deliveries were corrupt", measured.corrupt);
    ensure!(measured.misdelivered == 0, "{} deliveries went astray", measured.misdelivered);
    Ok(Slice { measured, spent })
}
