//! The catalogue of cases, by name.

use anyhow::{Result, ensure};

use crate::compare::case::{Against, Case, Figure, Goal, Method, Versus};
use crate::load::{Direction, Operation, Pace, Scenario, Traffic, Transport};

/// The cases that are compared by default.
pub const USUAL: &[&str] =
    &["c2p-1000", "p2c-1000", "both-1000", "mixed-c2p", "mixed-p2c", "frames-c2p", "frames-p2c"];

const WAYS: [(&str, &str, Direction); 3] = [
    ("c2p", "client to peer", Direction::ToPeer),
    ("p2c", "peer to client", Direction::ToClient),
    ("both", "both ways", Direction::Both),
];

/// All cases of the catalogue.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend([100, 1_000, 5_000].into_iter().flat_map(small));
    cases.extend(large());
    cases.extend(growth());
    cases.extend(shapes());
    cases.extend(mixtures());
    cases.extend(requests());
    cases.extend(transports());
    cases.push(memory());
    for case in &mut cases {
        if case.method == Method::Slices
            && matches!(case.scenario.operation, Operation::Channel | Operation::Send)
        {
            case.goals.push(IN_ORDER);
        }
    }
    cases
}

/// The cases with these names.
///
/// # Errors
/// If there is no case of a name.
pub fn named(names: &[String]) -> Result<Vec<Case>> {
    let all = all();
    let known: Vec<&str> = all.iter().map(|case| &*case.name).collect();
    for name in names {
        ensure!(
            known.contains(&name.as_str()),
            "no scenario {name}; there are: {}",
            known.join(", ")
        );
    }
    Ok(all.into_iter().filter(|case| names.contains(&case.name)).collect())
}

fn case(name: impl Into<String>, about: impl Into<String>, scenario: Scenario) -> Case {
    Case {
        name: name.into(),
        about: about.into(),
        scenario,
        versus: Versus::Other,
        method: Method::Slices,
        goals: Vec::new(),
    }
}

/// A goal for the ratio of processor time to coturn's; the first value of two is for io_uring, the
/// second for epoll.
fn cpu(ring: Option<bool>, must: f64, aim: f64) -> Goal {
    Goal { against: Against::Coturn, ring, figure: Figure::Cpu, must, aim: Some(aim) }
}

/// A goal for the ratio of processor time to that of turnd c3319df, over the same backend.
fn older(ring: bool, must: f64, aim: Option<f64>) -> Goal {
    Goal { against: Against::Older, ring: Some(ring), figure: Figure::Cpu, must, aim }
}

/// A goal: the datagrams of a flow arrive in the order in which they were sent.
const IN_ORDER: Goal =
    Goal { against: Against::Any, ring: None, figure: Figure::Late, must: 0.0, aim: None };

const FLOOR: Goal =
    Goal { against: Against::Floor, ring: None, figure: Figure::Cpu, must: 1.10, aim: None };

fn channels(direction: Direction, allocations: usize, size: usize) -> Scenario {
    Scenario { direction, allocations, size, ..Scenario::default() }
}

fn small(allocations: usize) -> Vec<Case> {
    let goals = |way: &str| match (allocations, way) {
        (1_000, "c2p") => vec![
            cpu(Some(true), 0.78, 0.70),
            cpu(Some(false), 0.93, 0.85),
            FLOOR,
            older(true, 0.94, Some(0.90)),
        ],
        (1_000, "p2c") => vec![cpu(Some(true), 0.62, 0.52), cpu(Some(false), 0.75, 0.65), FLOOR],
        (1_000, _) => {
            let than_before = [older(true, 0.88, Some(0.83)), older(false, 0.92, None)];
            [cpu(Some(true), 0.62, 0.53), cpu(Some(false), 0.72, 0.65), FLOOR]
                .into_iter()
                .chain(than_before)
                .collect()
        }
        (5_000, "c2p") => vec![cpu(Some(true), 0.78, 0.65)],
        (5_000, "p2c") => vec![cpu(Some(true), 0.58, 0.50), older(true, 0.88, Some(0.83))],
        _ => Vec::new(),
    };
    let made = WAYS.iter().map(|&(way, words, direction)| {
        let about = format!("{words}, 160 bytes, {allocations} allocations");
        Case {
            goals: goals(way),
            ..case(format!("{way}-{allocations}"), about, channels(direction, allocations, 160))
        }
    });
    made.collect()
}

fn large() -> Vec<Case> {
    let goals = [
        vec![cpu(Some(true), 0.76, 0.68), older(true, 0.93, Some(0.90))],
        vec![cpu(Some(true), 0.62, 0.53)],
        Vec::new(),
    ];
    let made = WAYS.iter().zip(goals).map(|(&(way, words, direction), goals)| {
        let about = format!("{words}, 1200 bytes, 1000 allocations");
        Case { goals, ..case(format!("{way}-1200"), about, channels(direction, 1_000, 1_200)) }
    });
    made.collect()
}

fn growth() -> Vec<Case> {
    let goal = Goal {
        against: Against::Any,
        ring: None,
        figure: Figure::Cpu,
        must: 1.25,
        aim: Some(1.05),
    };
    let made = WAYS.iter().map(|&(way, words, direction)| Case {
        versus: Versus::Itself(channels(direction, 100, 160)),
        goals: vec![goal],
        ..case(
            format!("growth-{way}"),
            format!("{words}, 5000 allocations beside 100 of its own"),
            channels(direction, 5_000, 160),
        )
    });
    made.collect()
}

fn shapes() -> Vec<Case> {
    let relay = channels(Direction::Relay, 1_000, 160);
    let burst = Scenario { burst: 8, ..channels(Direction::ToPeer, 100, 1_200) };
    let paced = Scenario { pace: Pace::Rate(50_000), ..channels(Direction::Both, 1_000, 160) };
    let versus_turn_rs = Goal {
        against: Against::TurnServer,
        ring: None,
        figure: Figure::Cpu,
        must: 0.70,
        aim: None,
    };
    let late = Goal {
        against: Against::Coturn,
        ring: None,
        figure: Figure::Delay,
        must: 150.0,
        aim: None,
    };
    let rate = Goal {
        against: Against::Coturn,
        ring: None,
        figure: Figure::Rate,
        must: 1.4,
        aim: Some(1.7),
    };
    let mut cases = vec![Case {
        goals: vec![cpu(None, 0.38, 0.28), versus_turn_rs],
        ..case("relay", "client to client of this server, 160 bytes, 1000 allocations", relay)
    }];
    for (way, words, direction) in WAYS {
        let (joined, single) =
            (Scenario { direction, offload: true, ..burst }, Scenario { direction, ..burst });
        let goals = vec![cpu(None, 0.30, 0.18)];
        cases.push(Case {
            goals,
            ..case(
                format!("burst-{way}"),
                format!("{words}, bursts of 8 × 1200 bytes, receivers with GRO"),
                joined,
            )
        });
        cases.push(case(
            format!("burst-{way}-single"),
            format!("{words}, bursts of 8 × 1200 bytes, receivers without GRO"),
            single,
        ));
    }
    let calls = Scenario { allocations: 500, ..paced };
    let about = "voice calls: 50 datagrams a second each way, 160 bytes, 500 allocations";
    cases.push(case("calls", about, calls));
    cases.push(Case {
        goals: vec![cpu(None, 0.70, 0.65), late],
        ..case("paced", "both ways, 50,000 a second, 1000 allocations", paced)
    });
    for (way, words, direction) in WAYS {
        let scenario = Scenario { pace: Pace::Rate(50_000), ..channels(direction, 1_000, 160) };
        let about = format!("{words}: most a second with < 0.1 % lost and p99 < 10 ms");
        cases.push(Case {
            method: Method::Rate,
            goals: vec![rate],
            ..case(format!("rate-{way}"), about, scenario)
        });
    }
    cases
}

/// Sizes and clients as in real traffic, where a client's datagrams differ in size and alternate
/// with those of others.
fn mixtures() -> Vec<Case> {
    let mut cases = Vec::new();
    for (way, words, direction) in WAYS {
        let mixed = Scenario { traffic: Traffic::Mixed, ..channels(direction, 20, 1_200) };
        cases.push(case(
            format!("mixed-{way}"),
            format!("{words}, mixed sizes up to 1200 bytes, 20 allocations"),
            mixed,
        ));
        let frames = Scenario { traffic: Traffic::Frames, ..channels(direction, 100, 1_200) };
        let about = format!(
            "{words}, video calls (frames of 4 × 600 to 1200 bytes, audio), 100 allocations"
        );
        cases.push(case(format!("frames-{way}"), about, frames));
    }
    cases
}

fn requests() -> Vec<Case> {
    let mut cases = Vec::new();
    let as_channels =
        Goal { against: Against::Any, ring: None, figure: Figure::Cpu, must: 1.05, aim: None };
    for (way, words, direction) in WAYS {
        let channel = channels(direction, 1_000, 160);
        let send = Scenario { operation: Operation::Send, ..channel };
        cases.push(case(
            format!("send-{way}"),
            format!("{words} in Send and Data indications, 1000 allocations"),
            send,
        ));
        let about = format!("{words}: indications beside its own channels");
        cases.push(Case {
            versus: Versus::Itself(channel),
            goals: vec![as_channels],
            ..case(format!("send-{way}-own"), about, send)
        });
    }
    let ask = |operation, allocations| Scenario { operation, allocations, ..Scenario::default() };
    let micros = |must, aim| Goal {
        against: Against::Any,
        ring: None,
        figure: Figure::Microseconds,
        must,
        aim: Some(aim),
    };
    let binding = vec![cpu(None, 0.75, 0.66), FLOOR];
    cases.push(Case {
        goals: binding,
        ..case("binding", "Binding requests", ask(Operation::Binding, 100))
    });
    let goals = vec![Goal { aim: None, ..cpu(None, 0.25, 0.0) }, micros(27.0, 15.0)];
    cases.push(Case {
        goals,
        ..case(
            "allocate",
            "Allocate in two round trips, and its release",
            ask(Operation::Allocate, 10_000),
        )
    });
    cases.push(Case {
        versus: Versus::Itself(ask(Operation::Release, 2_000)),
        goals: vec![Goal { aim: None, ..micros(30.0, 0.0) }],
        ..case(
            "release-13500",
            "release of an allocation beside 13,500 others, and beside 1,800",
            ask(Operation::Release, 14_500),
        )
    });
    cases.push(Case {
        goals: vec![micros(6.0, 4.5)],
        ..case("channel-bind", "ChannelBind of new channels", ask(Operation::ChannelBind, 100))
    });
    cases
}

fn transports() -> Vec<Case> {
    let mut cases = Vec::new();
    for (transport, name) in
        [(Transport::Tcp, "TCP"), (Transport::Tls, "TLS"), (Transport::Dtls, "DTLS")]
    {
        for (way, words, direction) in WAYS {
            let scenario = Scenario { transport, ..channels(direction, 100, 160) };
            let goals =
                if transport == Transport::Dtls { Vec::new() } else { vec![cpu(None, 0.8, 0.6)] };
            let about = format!("{words}, clients over {name}, 160 bytes, 100 allocations");
            cases.push(Case {
                goals,
                ..case(format!("{}-{way}", transport.name()), about, scenario)
            });
        }
    }
    cases
}

fn memory() -> Case {
    let goal = |figure, must, aim| Goal {
        against: Against::Any,
        ring: None,
        figure,
        must,
        aim: Some(aim),
    };
    let goals = vec![goal(Figure::PerAllocation, 1024.0, 400.0), goal(Figure::Idle, 8.0, 5.0)];
    let about = "memory: when idle, and for each of 5000 allocations with one channel";
    Case {
        method: Method::Memory,
        goals,
        ..case("memory", about, channels(Direction::ToPeer, 5_000, 160))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_usual_are_among_them() {
        let all = all();
        let mut names: Vec<&str> = all.iter().map(|case| &*case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
        let usual: Vec<String> = USUAL.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(named(&usual).unwrap().len(), USUAL.len());
        assert!(named(&["c2p-7".to_owned()]).unwrap_err().to_string().contains("c2p-1000"));
    }
}
