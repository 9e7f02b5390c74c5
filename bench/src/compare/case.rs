use crate::load::Scenario;

/// Something to compare two servers by.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name on the command line and in tables.
    pub name: String,
    /// In words.
    pub about: String,
    /// What the first server is loaded with.
    pub scenario: Scenario,
    /// What it is measured against.
    pub versus: Versus,
    /// What is measured.
    pub method: Method,
    /// What the first server should reach.
    pub goals: Vec<Goal>,
}

/// What the first server is measured against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Versus {
    /// The second server, with the same load.
    Other,
    /// Itself, with another load.
    Itself(Scenario),
}

/// How a case is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Alternating slices of the load.
    Slices,
    /// The highest rate at which nearly nothing is lost and nothing is late.
    Rate,
    /// Memory before and after all allocations are made.
    Memory,
}

/// What the first server should reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// Against whom it is meant.
    pub against: Against,
    /// For which backend of the first server; `None`: for each.
    pub ring: Option<bool>,
    /// The figure.
    pub figure: Figure,
    /// What has to be.
    pub must: f64,
    /// What would be good.
    pub aim: Option<f64>,
}

/// Against whom a goal is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// coturn.
    Coturn,
    /// turn-rs, the crate `turn-server`.
    TurnServer,
    /// A floor.
    Floor,
    /// An older `turnd`, given by `--program`: c3319df, over the same backend.
    Older,
    /// Anybody, itself among them.
    Anybody,
}

/// What a goal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Ratio of time on the processor for each delivery: at most.
    Cpu,
    /// Ratio of deliveries a second: at least.
    Rate,
    /// How much longer 99 of 100 deliveries take at most, in microseconds.
    Delay,
    /// Datagrams of the first server that arrived after a later one of their flow: at most.
    Late,
    /// The first server's time on the processor for each delivery, in microseconds: at most.
    Microseconds,
    /// Bytes of memory for each allocation of the first server: at most.
    PerAllocation,
    /// The first server's resident memory before the load, in MiB: at most.
    Idle,
}

/// How a figure stands to its goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// What would be good.
    Aim,
    /// What has to be.
    Must,
    /// Less.
    Missed,
}

impl Case {
    /// Another number of allocations than the scenario's. Its goals are for that one and void, but
    /// for the order of datagrams, which is always kept.
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
    /// How the figure stands to it.
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

    /// As a table has it: `≤ 0.78 (0.70)`.
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
    /// In a word or two.
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
