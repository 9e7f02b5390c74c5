//! The search for the highest rate that a server sustains.

use std::time::Duration;

use anyhow::Result;

use crate::load::{Fleet, Measured, Pace};

/// The limits within which a rate counts as sustained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Maximum share of datagrams lost.
    pub loss: f64,
    /// Maximum of the latency's 99th percentile.
    pub p99: Duration,
    /// How long each rate is tried.
    pub trial: Duration,
    /// Number of failed trials, at least 1, after which a rate is too high. A machine that stands
    /// still for some milliseconds now and then (another guest of its host had the processor)
    /// spoils a trial at any rate, but not every one.
    pub trials: u32,
    /// Maximum rate that is tried.
    pub highest: u32,
}

impl Default for Limits {
    /// Loss below 0.1 %, a p99 below 10 ms, a second each, five times, at most a million a second.
    fn default() -> Self {
        Self {
            loss: 0.001,
            p99: Duration::from_millis(10),
            trial: Duration::from_secs(1),
            trials: 5,
            highest: 1_000_000,
        }
    }
}

/// The highest rate within the limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Datagrams a second; 0 if even the lowest was too much.
    pub rate: u32,
    /// The figures at that rate.
    pub measured: Measured,
    /// Whether the load was the limit, and not the server: it could not send at the next higher
    /// rate.
    pub by_load: bool,
}

/// Minimum rate that is tried.
const LOWEST: u32 = 1_000;
/// The first rate that is tried: at lower ones the load sleeps between datagrams, and is late more
/// often than a server.
const FIRST: u32 = 16_000;
/// Precision of the result: one part in this number.
const PRECISION: u32 = 50;

/// Searches for the highest rate within the limits: doubles it while it is good, then halves the
/// gap.
///
/// # Errors
/// The same as of [`Fleet::run`].
pub fn find_rate(fleet: &mut Fleet, limits: &Limits) -> Result<Found> {
    let mut found = Found { rate: 0, measured: Measured::default(), by_load: false };
    let highest = limits.highest.max(LOWEST);
    let (mut rate, mut bad) = (FIRST.min(highest), None);
    loop {
        fleet.set_pace(Pace::Rate(rate))?;
        match limits.keep(fleet, rate)? {
            Trial::Good(measured) => found = Found { rate, measured, ..found },
            Trial::Bad { by_load } => {
                bad = Some(rate);
                found.by_load = by_load;
            }
        }
        rate = match bad {
            None if rate >= highest => return Ok(found),
            None => rate.saturating_mul(2).min(highest),
            Some(bad) if bad - found.rate <= bad / PRECISION || bad <= LOWEST => return Ok(found),
            Some(bad) => found.rate + (bad - found.rate) / 2,
        };
    }
}

/// The result of trying a rate.
enum Trial {
    Good(Measured),
    /// Not within the limits in any trial; `by_load` if the load could not send fast enough in any
    /// of them, though nothing was lost.
    Bad {
        by_load: bool,
    },
}

impl Limits {
    /// Tries a rate until it is within the limits, or has failed often enough.
    fn keep(&self, fleet: &mut Fleet, rate: u32) -> Result<Trial> {
        let mut by_load = true;
        for _ in 0..self.trials.max(1) {
            let measured = fleet.run(self.trial)?;
            let is_sent = measured.sent as f64 >= 0.99 * f64::from(rate) * self.trial.as_secs_f64();
            let is_lossless =
                (measured.lost() as f64) < self.loss * measured.sent as f64 || measured.lost() == 0;
            if is_sent && is_lossless && measured.latencies.p99 < self.p99 {
                return Ok(Trial::Good(measured));
            }
            by_load &= !is_sent && is_lossless;
        }
        Ok(Trial::Bad { by_load })
    }
}
