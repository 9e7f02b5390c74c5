use serde::Serialize;

use crate::compare::{Figure, Goal, Standing};
use crate::report::Quartiles;

/// With more than this share of a processor taken by the host a p99 is the host's: one delivery of
/// 100 waits for it.
const STEADY: f64 = 0.01;

/// A measurement of several cases.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The machine's kernel.
    pub kernel: String,
    /// Its processor.
    pub processor: String,
    /// Loopback, or across namespaces.
    pub place: String,
    /// Pairs of slices of each case.
    pub pairs: usize,
    /// Starts of the servers for each case, over which the pairs are spread.
    pub starts: usize,
    /// A slice, in milliseconds.
    pub slice_ms: u128,
    /// How the servers differ from their defaults, each with its name.
    pub settings: Vec<String>,
    /// What came of each case.
    pub outcomes: Vec<Outcome>,
}

/// What came of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The case's name.
    pub name: String,
    /// In words.
    pub about: String,
    /// The two servers.
    pub servers: [Column; 2],
    /// The first to the second, pair by pair.
    pub ratio: Ratios,
    /// What the host took from this machine's processors meanwhile, as a share of one (1: a whole
    /// one).
    pub stolen: f64,
    /// What the goals that apply say of it.
    pub verdicts: Vec<Verdict>,
}

/// One server's own figures: the medians of its slices.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Column {
    /// Its name and version, and its backend.
    pub name: String,
    /// Nanoseconds on the processor for each delivery.
    pub cpu_ns: f64,
    /// Deliveries a second.
    pub rate: f64,
    /// Half of the deliveries took less, in microseconds.
    pub p50_us: f64,
    /// Of 100 deliveries, 99 took less, in microseconds.
    pub p99_us: f64,
    /// Datagrams or requests in all slices.
    pub sent: u64,
    /// Those of which nothing came.
    pub lost: u64,
    /// Datagrams that arrived after a later one of the same client and the same direction.
    pub late: u64,
    /// Deliveries that a second on the processor pays for.
    pub deliveries_a_core: f64,
    /// Gbit of application data that a second on the processor pays for.
    pub gbit_a_core: f64,
    /// Allocations that a core carries at this rate, where the pace is the scenario's.
    pub allocations_a_core: Option<f64>,
    /// Its memory.
    pub memory: Memory,
}

/// A server's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Resident before the load, in KiB.
    pub idle_kib: u64,
    /// Resident when all allocations were made, in KiB.
    pub loaded_kib: u64,
    /// By how much its own memory grew for each allocation.
    pub bytes_an_allocation: f64,
}

/// The first server's figures by the second's, pair by pair.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ratios {
    /// Time on the processor for each delivery.
    pub cpu: Quartiles,
    /// Deliveries a second.
    pub rate: Quartiles,
    /// By how much 99 of 100 deliveries are later, in microseconds: a difference.
    pub later_us: Quartiles,
}

/// What a goal says.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// What it is about.
    pub figure: &'static str,
    /// What is there.
    pub value: f64,
    /// What should be.
    pub goal: String,
    /// How it stands.
    pub standing: &'static str,
}

impl Outcome {
    /// What the goal is about.
    #[must_use]
    pub fn figure(&self, figure: Figure) -> f64 {
        let ours = &self.servers[0];
        match figure {
            Figure::Cpu => self.ratio.cpu.median,
            Figure::Rate => self.ratio.rate.median,
            Figure::Delay => self.ratio.later_us.median,
            Figure::Late => ours.late as f64,
            Figure::Microseconds => ours.cpu_ns / 1e3,
            Figure::PerAllocation => ours.memory.bytes_an_allocation,
            Figure::Idle => ours.memory.idle_kib as f64 / 1024.0,
        }
    }

    /// Whether the machine stood still so often that the slowest deliveries were slow by that, and
    /// not by a server.
    #[must_use]
    pub fn is_unsteady(&self) -> bool {
        self.stolen > STEADY
    }

    /// Judges it by the goals.
    pub fn judge(&mut self, goals: &[Goal]) {
        let verdict = |goal: &Goal| {
            let value = self.figure(goal.figure);
            let standing = match goal.standing(value) {
                _ if goal.figure == Figure::Delay && self.is_unsteady() => "unclear",
                Standing::Aim => "aim",
                Standing::Must => "met",
                Standing::Missed => "missed",
            };
            Verdict { figure: goal.figure.name(), value, goal: goal.text(), standing }
        };
        self.verdicts = goals.iter().map(verdict).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Against;

    #[test]
    fn lateness_on_an_unsteady_machine_is_unclear() {
        let ratios = Ratios {
            cpu: Quartiles::of([0.8]),
            rate: Quartiles::of([1.0]),
            later_us: Quartiles::of([20.0]),
        };
        let servers = [Column::default(), Column::default()];
        let goal =
            |figure, must| Goal { against: Against::Anybody, ring: None, figure, must, aim: None };
        let standings = |stolen| {
            let (name, about) = (String::new(), String::new());
            let mut outcome = Outcome {
                name,
                about,
                servers: servers.clone(),
                ratio: ratios,
                stolen,
                verdicts: Vec::new(),
            };
            outcome.judge(&[goal(Figure::Delay, 150.0), goal(Figure::Cpu, 0.7)]);
            outcome.verdicts.iter().map(|verdict| verdict.standing).collect::<Vec<_>>()
        };
        assert_eq!([0.0, 0.3].map(standings), [["met", "missed"], ["unclear", "missed"]]);
    }
}
