//! The comparison of two servers in one case, over several starts of both.

use anyhow::{Context, Result, bail};

use crate::compare::slices::{self, Extent, Interrupt, Slice};
use crate::compare::stolen::Stolen;
use crate::compare::{Against, Case, Goal, Method, Versus};
use crate::peer::{Choice, Kind, Place, Server};
use crate::report::{Column, Memory, Outcome, Quartiles, Ratios};

/// The two servers that are compared.
pub(crate) struct Contest<'a> {
    /// The server that has goals and the other one, each with its name.
    pub(crate) choices: [(&'a str, &'a Choice); 2],
    pub(crate) place: &'a Place,
    /// The extent of the measurement for each start of the servers.
    pub(crate) extent: Extent,
    /// Number of times that both servers are started for a case: where the kernel happens to place
    /// a process's memory changes its speed by some hundredths, which no number of pairs shows.
    pub(crate) starts: usize,
    pub(crate) stop: &'a Interrupt,
}

/// The result of one start of the servers.
struct Round {
    names: [String; 2],
    ring: bool,
    memory: [Memory; 2],
    pairs: Vec<[Slice; 2]>,
}

impl Contest<'_> {
    /// Plays one case with newly started servers.
    pub(crate) fn play(&self, case: &Case) -> Result<Outcome> {
        let stolen = Stolen::watch();
        let mut round = self.round(case)?;
        let starts = if case.method == Method::Memory { 1 } else { self.starts };
        for _ in 1..starts {
            round.pairs.append(&mut self.round(case)?.pairs);
        }
        let stolen = stolen.share();
        let Round { names, ring, memory, pairs } = round;
        let columns = [0, 1].map(|which| {
            column(&names[which], &pairs, which, memory[which], case.scenario.rate_of_one())
        });
        let ratio = |figure: fn(&Slice) -> f64| {
            Quartiles::of(pairs.iter().map(|[ours, theirs]| figure(ours) / figure(theirs)))
        };
        let ratio = Ratios {
            cpu: ratio(Slice::nanoseconds),
            rate: ratio(|slice| slice.measured.rate()),
            later_us: Quartiles::of(pairs.iter().map(|[ours, theirs]| late(ours) - late(theirs))),
        };
        let mut outcome = Outcome {
            name: case.name.clone(),
            about: case.about.clone(),
            servers: columns,
            ratio,
            stolen,
            verdicts: Vec::new(),
        };
        outcome.judge(&self.goals(case, ring));
        Ok(outcome)
    }

    /// Starts both servers and measures them.
    fn round(&self, case: &Case) -> Result<Round> {
        let loads = match case.versus {
            Versus::Other => [case.scenario; 2],
            Versus::Itself(other) => [case.scenario, other],
        };
        let choices = match case.versus {
            Versus::Other => self.choices,
            Versus::Itself(_) => [self.choices[0]; 2],
        };
        let start = |number: usize| {
            let choice = choices[number].1;
            let over = loads[number].transport;
            if !choice.description.serves(over) {
                bail!("{} has no {}", choices[number].0, over.name());
            }
            let ports = ports(loads.map(|load| load.allocations), number);
            choice.start(self.place, ports, over.is_secure())
        };
        let servers = [start(0)?, start(1)?];
        let fleet = |number: usize| {
            slices::measure_memory(&servers[number], &loads[number], case.method == Method::Memory)
                .with_context(|| format!("{}: {}", case.name, choices[number].0))
        };
        let ((first, ours), (second, theirs)) = (fleet(0)?, fleet(1)?);
        self.stop.check()?;
        let mut fleets = [ours, theirs];
        let pairs = match case.method {
            Method::Slices => slices::alternate(&mut fleets, &servers, &self.extent, self.stop)
                .with_context(|| case.name.clone())?,
            Method::Rate => slices::search(&mut fleets, &self.extent, self.stop)
                .with_context(|| case.name.clone())?,
            Method::Memory => Vec::new(),
        };
        let names = [0, 1].map(|which| name(choices[which], &servers[which]));
        Ok(Round { names, ring: servers[0].has_ring(), memory: [first, second], pairs })
    }

    /// The goals against this server, for this backend.
    fn goals(&self, case: &Case, ring: bool) -> Vec<Goal> {
        let (name, choice) = self.choices[1];
        let applies = |goal: &&Goal| {
            let meant = match goal.against {
                Against::Coturn => matches!(name, "coturn" | "coturn-dtls"),
                Against::TurnServer => name == "turn-server",
                Against::Floor => {
                    choice.description.access == Kind::Floor || name == "floor-binding"
                }
                Against::Older => name == "turnd" && choice.program.is_some(),
                Against::Any => true,
            };
            meant && goal.ring.is_none_or(|wanted| wanted == ring)
        };
        case.goals.iter().filter(applies).copied().collect()
    }
}

/// The relay ports, below those that the kernel assigns: each server has a share by the number of
/// its allocations.
const RELAY_PORTS: [u16; 2] = [10_000, 32_000];

/// The relay ports of the first or the second server, each with room for this many allocations.
fn ports(allocations: [usize; 2], number: usize) -> [u16; 2] {
    let [first, end] = RELAY_PORTS;
    let share =
        f64::from(end - first) * allocations[0] as f64 / (allocations[0] + allocations[1]) as f64;
    // A few ports more than there are allocations, whatever the share.
    let middle = (first + share as u16).clamp(first + 500, end - 500);
    if number == 0 { [first, middle - 1] } else { [middle, end - 1] }
}

fn name((name, choice): (&str, &Choice), server: &Server) -> String {
    let version = choice.version().unwrap_or_default();
    let version =
        version.split_whitespace().last().map(|version| format!(" {version}")).unwrap_or_default();
    let backend = if server.has_ring() { " (io_uring)" } else { "" };
    format!("{name}{version}{backend}")
}

fn late(slice: &Slice) -> f64 {
    slice.measured.latencies.p99.as_secs_f64() * 1e6
}

/// `rate_of_one` is the number of datagrams a second of one allocation, if the scenario sets the
/// pace.
fn column(
    name: &str,
    pairs: &[[Slice; 2]],
    which: usize,
    memory: Memory,
    rate_of_one: Option<f64>,
) -> Column {
    let median = |figure: fn(&Slice) -> f64| {
        Quartiles::of(pairs.iter().map(|pair| figure(&pair[which]))).median
    };
    let sum =
        |figure: fn(&Slice) -> u64| pairs.iter().map(|pair| figure(&pair[which])).sum::<u64>();
    let cpu_ns = median(Slice::nanoseconds);
    // The search for a rate does not measure the cost of a delivery.
    let a_core = |amount: f64| if cpu_ns > 0.0 { amount * 1e9 / cpu_ns } else { 0.0 };
    let bytes = sum(|slice| slice.measured.bytes) as f64
        / sum(|slice| slice.measured.delivered).max(1) as f64;
    Column {
        name: name.to_owned(),
        cpu_ns,
        deliveries_a_core: a_core(1.0),
        gbit_a_core: a_core(bytes * 8e-9),
        allocations_a_core: rate_of_one.filter(|_| cpu_ns > 0.0).map(|rate| a_core(1.0) / rate),
        late: sum(|slice| slice.measured.late),
        rate: median(|slice| slice.measured.rate()),
        p50_us: median(|slice| slice.measured.latencies.p50.as_secs_f64() * 1e6),
        p99_us: median(late),
        sent: sum(|slice| slice.measured.sent),
        lost: sum(|slice| slice.measured.lost()),
        memory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_ports_for_its_allocations() {
        assert_eq!(
            [ports([1_000, 1_000], 0), ports([1_000, 1_000], 1)],
            [[10_000, 20_999], [21_000, 31_999]]
        );
        let [[first, last], [next, end]] = [ports([14_500, 100], 0), ports([14_500, 100], 1)];
        assert_eq!((first, last + 1, end), (10_000, next, 31_999));
        assert!(last - first >= 20_000 && end - next >= 400);
    }
}
