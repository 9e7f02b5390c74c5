use anyhow::{Context, Result, bail};

use crate::compare::interrupt::Interrupt;
use crate::compare::slices::{self, Extent, Slice};
use crate::compare::stolen::Stolen;
use crate::compare::{Against, Case, Goal, Method, Versus, memory};
use crate::load::{Fleet, Scenario};
use crate::peer::{Choice, Kind, Place, Server};
use crate::report::{Column, Memory, Outcome, Quartiles, Ratios};

/// Two servers that are compared.
pub(crate) struct Contest<'a> {
    /// The one that has goals, and the other; each with its name.
    pub(crate) choices: [(&'a str, &'a Choice); 2],
    pub(crate) place: &'a Place,
    /// What is measured with each start of the servers.
    pub(crate) extent: Extent,
    /// How often both servers are started anew for a case: where the kernel happens to put a process's memory is good or bad for it by some
    /// hundredths, which no number of pairs shows.
    pub(crate) starts: usize,
    pub(crate) stop: &'a Interrupt,
}

/// What came of one start of the servers.
struct Round {
    names: [String; 2],
    ring: bool,
    memory: [Memory; 2],
    pairs: Vec<[Slice; 2]>,
}

impl Contest<'_> {
    /// Plays one case with servers that were started for it.
    pub(crate) fn play(&self, case: &Case) -> Result<Outcome> {
        let stolen = Stolen::watch();
        let mut round = self.round(case)?;
        let starts = if case.method == Method::Memory { 1 } else { self.starts };
        for _ in 1..starts {
            round.pairs.append(&mut self.round(case)?.pairs);
        }
        let stolen = stolen.share();
        let Round { names, ring, memory, pairs } = round;
        let columns = [0, 1].map(|which| column(&names[which], &pairs, which, memory[which]));
        let ratio = |figure: fn(&Slice) -> f64| Quartiles::of(pairs.iter().map(|[ours, theirs]| figure(ours) / figure(theirs)));
        let ratio = Ratios {
            cpu: ratio(Slice::nanoseconds),
            rate: ratio(|slice| slice.measured.rate()),
            later_us: Quartiles::of(pairs.iter().map(|[ours, theirs]| late(ours) - late(theirs))),
        };
        let mut outcome =
            Outcome { name: case.name.clone(), about: case.about.clone(), servers: columns, ratio, stolen, verdicts: Vec::new() };
        outcome.judge(&self.goals(case, ring));
        Ok(outcome)
    }

    /// Starts both servers, and measures them.
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
            choice.start(self.place, number, over.is_secure())
        };
        let servers = [start(0)?, start(1)?];
        let fleet = |number: usize| {
            let (server, load): (&Server, &Scenario) = (&servers[number], &loads[number]);
            memory::measure(server, || Fleet::new(load, &server.target(load.transport)), load.allocations)
                .with_context(|| format!("{}: {}", case.name, choices[number].0))
        };
        let ((first, ours), (second, theirs)) = (fleet(0)?, fleet(1)?);
        self.stop.check()?;
        let mut fleets = [ours, theirs];
        let pairs = match case.method {
            Method::Slices => slices::alternate(&mut fleets, &servers, &self.extent, self.stop).with_context(|| case.name.clone())?,
            Method::Rate => slices::search(&mut fleets, &self.extent, self.stop).with_context(|| case.name.clone())?,
            Method::Memory => Vec::new(),
        };
        let names = [0, 1].map(|which| name(choices[which], &servers[which]));
        Ok(Round { names, ring: servers[0].has_ring(), memory: [first, second], pairs })
    }

    /// The goals that are meant against this server, for this backend.
    fn goals(&self, case: &Case, ring: bool) -> Vec<Goal> {
        let (name, choice) = self.choices[1];
        let applies = |goal: &&Goal| {
            let meant = match goal.against {
                Against::Coturn => name == "coturn",
                Against::TurnServer => name == "turn-server",
                Against::Floor => choice.description.access == Kind::Floor || name == "floor-binding",
                Against::Anybody => true,
            };
            meant && goal.ring.is_none_or(|wanted| wanted == ring)
        };
        case.goals.iter().filter(applies).copied().collect()
    }
}

fn name((name, choice): (&str, &Choice), server: &Server) -> String {
    let version = choice.version().unwrap_or_default();
    let version = version.split_whitespace().last().map(|version| format!(" {version}")).unwrap_or_default();
    let backend = if server.has_ring() { " (io_uring)" } else { "" };
    format!("{name}{version}{backend}")
}

fn late(slice: &Slice) -> f64 {
    slice.measured.latencies.p99.as_secs_f64() * 1e6
}

fn column(name: &str, pairs: &[[Slice; 2]], which: usize, memory: Memory) -> Column {
    let median = |figure: fn(&Slice) -> f64| Quartiles::of(pairs.iter().map(|pair| figure(&pair[which]))).median;
    let sum = |figure: fn(&Slice) -> u64| pairs.iter().map(|pair| figure(&pair[which])).sum();
    Column {
        name: name.to_owned(),
        cpu_ns: median(Slice::nanoseconds),
        rate: median(|slice| slice.measured.rate()),
        p50_us: median(|slice| slice.measured.latencies.p50.as_secs_f64() * 1e6),
        p99_us: median(late),
        sent: sum(|slice| slice.measured.sent),
        lost: sum(|slice| slice.measured.lost()),
        memory,
    }
}
