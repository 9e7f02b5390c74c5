//! A case of a comparison: its load, its method and its goals.

use crate::load::Scenario;

/// A case in which two servers are compared.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name on the command line and in tables.
    pub name: String,
    /// The case in one line of words.
    pub about: String,
    /// The load of the first server.
    pub scenario: Scenario,
    /// The other side of the comparison.
    pub versus: Versus,
    /// The method of measurement.
    pub method: Method,
    /// The goals of the first server.
    pub goals: Vec<Goal>,
}

/// The other side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Versus {
    /// The second server, with the same load.
    Other,
    /// The first server itself, with another load.
    Itself(Scenario),
}

/// The method of measurement of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Alternating slices of the load.
    Slices,
    /// The highest rate with almost no loss and no delay.
    Rate,
    /// Memory before and after all allocations are made.
    Memory,
}

/// The goals of the first server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The server that it is measured against.
    pub against: Against,
    /// The backend of the first server; `true` for io_uring, `None` for each.
    pub ring: Option<bool>,
    /// The figure that it is about.
    pub figure: Figure,
    /// The limit that must be reached.
    pub must: f64,
    /// The better value that is aimed at.
    pub aim: Option<f64>,
}

/// The server that a goal is measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// coturn, the common TURN server.
    Coturn,
    /// turn-rs, the crate `turn-server`.
    TurnServer,
    /// A floor forwarder, which does the minimum.
    Floor,
    /// An older `turnd`, given by `--program`: c3319df, over the same backend.
    Older,
    /// Any server, including itself.
    Any,
}

/// The figure of a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Ratio of processor time for each delivery: at most.
    Cpu,
    /// Ratio of deliveries a second: at least.
    Rate,
    /// Difference of the 99th percentiles of the latency in microseconds: at most.
    Delay,
    /// Datagrams of the first server that arrived after a later one of their flow: at most.
    Late,
    /// The first server's processor time for each delivery in microseconds: at most.
    Microseconds,
    /// Bytes of memory for each allocation of the first server: at most.
    PerAllocation,
    /// The first server's resident memory before the load, in MiB: at most.
    Idle,
}

/// The verdict on a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The better value that is aimed at.
    Aim,
    /// The limit that must be reached.
    Must,
    /// The goal is missed.
    Missed,
}

impl Case {
    /// Sets another number of allocations than the scenario's. The goals then do not apply, except
    /// the order of datagrams, which is always required.
    pub(crate) fn set_allocations(&mut self, allocations: usize) {
        self.scenario.allocations = allocations;
        if let Versus::Itself(other) = &mut self.versus {
            other.allocations = allocations;
        }
        self.about.push_str(&format!(", here with {allocations} allocations"));
        self.goals.retain(|goal| goal.figure == Figure::Late);
    }
}

impl Goal {
    /// The verdict on a value of the figure.
    #[must_use]
    pub fn standing(&self, value: f64) -> Standing {
        let reaches =
            |goal: f64| if self.figure == Figure::Rate { value >= goal } else { value <= goal };
        match (self.aim.is_some_and(reaches), reaches(self.must)) {
            (true, _) => Standing::Aim,
            (_, true) => Standing::Must,
            _ => Standing::Missed,
        }
    }

    /// The goal as tables show it: `≤ 0.78 (0.70)`.
    #[must_use]
    pub fn text(&self) -> String {
        let sign = if self.figure == Figure::Rate { '≥' } else { '≤' };
        let unit = match self.figure {
            Figure::Cpu | Figure::Rate | Figure::Late => "",
            Figure::Delay | Figure::Microseconds => " µs",
            Figure::PerAllocation => " B",
            Figure::Idle => " MiB",
        };
        let aim = self.aim.map(|aim| format!(" ({aim})")).unwrap_or_default();
        format!("{sign} {}{aim}{unit}", self.must)
    }
}

impl Figure {
    /// The verdict in a word or two.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Rate => "rate",
            Self::Delay => "p99 later by",
            Self::Late => "late datagrams",
            Self::Microseconds => "CPU each",
            Self::PerAllocation => "memory an allocation",
            Self::Idle => "idle memory",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_and_at_least() {
        let cpu = Goal {
            against: Against::Coturn,
            ring: None,
            figure: Figure::Cpu,
            must: 0.78,
            aim: Some(0.7),
        };
        assert_eq!(
            [0.7, 0.75, 0.79].map(|value| cpu.standing(value)),
            [Standing::Aim, Standing::Must, Standing::Missed]
        );
        assert_eq!(cpu.standing(f64::NAN), Standing::Missed);
        let rate = Goal { figure: Figure::Rate, must: 1.4, aim: None, ..cpu };
        assert_eq!(
            [1.7, 1.4, 1.3].map(|value| rate.standing(value)),
            [Standing::Must, Standing::Must, Standing::Missed]
        );
        assert_eq!(cpu.text(), "≤ 0.78 (0.7)");
    }
}
