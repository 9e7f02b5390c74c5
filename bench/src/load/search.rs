use std::time::Duration;

use anyhow::Result;

use crate::load::{Fleet, Measured, Pace};

/// What a rate must keep to count as good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Of all datagrams, so many may be lost.
    pub loss: f64,
    /// The 99th percentile of the latency.
    pub p99: Duration,
    /// How long each rate is tried.
    pub trial: Duration,
    /// No rate above this one is tried.
    pub highest: u32,
}

impl Default for Limits {
    /// Loss below 0.1 %, a p99 below 10 ms, a second each, at most a million a second.
    fn default() -> Self {
        Self { loss: 0.001, p99: Duration::from_millis(10), trial: Duration::from_secs(1), highest: 1_000_000 }
    }
}

/// The highest rate that was good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Datagrams a second; 0 when even the lowest was too much.
    pub rate: u32,
    /// What was measured at that rate.
    pub measured: Measured,
    /// Whether the load, and not the server, was at its end: it could not send at the next higher rate.
    pub by_load: bool,
}

/// The lowest rate that is tried.
const LOWEST: u32 = 1_000;
/// It is known to one part in so many.
const PRECISION: u32 = 50;

/// Searches the highest rate that keeps the limits: doubles it while it is good, then halves the gap.
///
/// # Errors
/// As [`Fleet::run`].
pub fn find_rate(fleet: &mut Fleet, limits: &Limits) -> Result<Found> {
    let mut found = Found { rate: 0, measured: Measured::default(), by_load: false };
    let highest = limits.highest.max(LOWEST);
    let (mut rate, mut bad) = (LOWEST, None);
    loop {
        fleet.set_pace(Pace::Rate(rate))?;
        let measured = fleet.run(limits.trial)?;
        let is_sent = measured.sent as f64 >= 0.99 * f64::from(rate) * limits.trial.as_secs_f64();
        let is_lossless = (measured.lost() as f64) < limits.loss * measured.sent as f64 || measured.lost() == 0;
        if is_sent && is_lossless && measured.latencies.p99 < limits.p99 {
            found = Found { rate, measured, ..found };
        } else {
            bad = Some(rate);
            found.by_load = !is_sent && is_lossless;
        }
        rate = match bad {
            None if rate >= highest => return Ok(found),
            None => rate.saturating_mul(2).min(highest),
            Some(bad) if bad - found.rate <= bad / PRECISION || bad <= LOWEST => return Ok(found),
            Some(bad) => found.rate + (bad - found.rate) / 2,
        };
    }
}
