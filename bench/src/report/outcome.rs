//! The report of a comparison as data; its JSON form is documented by its fields.

use serde::Serialize;

use crate::compare::{Figure, Goal, Standing};
use crate::report::Quartiles;

/// Maximum share of a processor that the host may take for a p99 that counts: above it, one
/// delivery of 100 waits for the host.
const STEADY: f64 = 0.01;

/// The report of a comparison of several cases.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The kernel of the machine.
    pub kernel: String,
    /// The machine's processor model.
    pub processor: String,
    /// Where the load ran: on loopback, or across namespaces.
    pub place: String,
    /// Number of pairs of slices for each case.
    pub pairs: usize,
    /// Number of starts of the servers for each case, over which the pairs are spread.
    pub starts: usize,
    /// Duration of a slice in milliseconds.
    pub slice_ms: u128,
    /// Deviations of the servers from their defaults, each with the server's name.
    pub settings: Vec<String>,
    /// The results of the cases.
    pub outcomes: Vec<Outcome>,
}

/// The result of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The name of the case.
    pub name: String,
    /// The case in words.
    pub about: String,
    /// The figures of the two servers.
    pub servers: [Column; 2],
    /// The ratios of the first server to the second, pair by pair.
    pub ratio: Ratios,
    /// The share of one processor that the host took from this machine meanwhile (1: a whole
    /// processor).
    pub stolen: f64,
    /// The verdicts of the goals that apply.
    pub verdicts: Vec<Verdict>,
}

/// The figures of one server: the medians of its slices.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Column {
    /// The server's name, version and backend.
    pub name: String,
    /// Processor time for each delivery, in nanoseconds.
    pub cpu_ns: f64,
    /// Rate in deliveries a second.
    pub rate: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: f64,
    /// Number of datagrams or requests sent in all slices.
    pub sent: u64,
    /// Number of those without a delivery.
    pub lost: u64,
    /// Number of datagrams that arrived after a later one of the same client and the same
    /// direction.
    pub late: u64,
    /// Deliveries for a second of processor time.
    pub deliveries_a_core: f64,
    /// Gbit of application data for a second of processor time.
    pub gbit_a_core: f64,
    /// Number of allocations that a core carries at this rate, if the scenario sets the pace.
    pub allocations_a_core: Option<f64>,
    /// The server's memory figures.
    pub memory: Memory,
}

/// Memory figures of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Resident memory before the load, in KiB.
    pub idle_kib: u64,
    /// Resident memory with all allocations, in KiB.
    pub loaded_kib: u64,
    /// Growth of its own memory for each allocation, in bytes.
    pub bytes_an_allocation: f64,
}

/// The ratios of the first server's figures to the second's, pair by pair.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ratios {
    /// Ratio of processor time for each delivery.
    pub cpu: Quartiles,
    /// Rate in deliveries a second.
    pub rate: Quartiles,
    /// Difference of the 99th percentiles of the latency, in microseconds.
    pub later_us: Quartiles,
}

/// The verdict of a goal.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The name of the figure.
    pub figure: &'static str,
    /// The measured value.
    pub value: f64,
    /// The goal as text.
    pub goal: String,
    /// Whether the goal is missed, met or at the aim.
    pub standing: &'static str,
}

impl Outcome {
    /// The value of a figure.
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

    /// Whether the machine stood still so often that this, and not a server, made the slowest
    /// deliveries slow.
    #[must_use]
    pub fn is_unsteady(&self) -> bool {
        self.stolen > STEADY
    }

    /// Evaluates the result against the goals.
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
            |figure, must| Goal { against: Against::Any, ring: None, figure, must, aim: None };
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
