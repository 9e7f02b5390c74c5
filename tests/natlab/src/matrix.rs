//! The result of a call between every two kinds, as a table.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::call::{Call, Side};
use crate::theory::Path;

/// One pair of kinds, and what became of its call.
#[derive(Debug)]
pub struct Outcome {
    /// The NATs of sites 0 and 1.
    pub behind: [String; 2],
    /// The path that theory predicts.
    pub expected: Path,
    /// The call, or why there was none.
    pub call: Result<Call, String>,
}

impl Outcome {
    /// The fault of this outcome; `None` if it is as theory says, the packets on the wire agree, and
    /// nothing was lost.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let call = match &self.call {
            Ok(call) => call,
            Err(error) => return Some(error.clone()),
        };
        let [a, b] = &call.sides;
        if [a.path, b.path] != [self.expected; 2] {
            return Some(format!(
                "the agents say {} and {}, theory says {}",
                a.path, b.path, self.expected
            ));
        }
        if call.sent() == 0 || call.received() != call.sent() {
            let half = |name: &str, side: &Side, arrived: u32| {
                format!("of {name}'s {} {arrived} arrived and {} came back", side.sent, side.echoed)
            };
            let late = format!(
                "A had a pair after {:.0} ms, B after {:.0} ms",
                a.connect_ms, b.connect_ms
            );
            return Some(format!(
                "{}; {}; {late}",
                half("A", a, b.arrived),
                half("B", b, a.arrived)
            ));
        }
        let seen = call.seen_between_sites;
        match self.expected {
            Path::Direct if seen < call.expected_between_sites() => {
                let least = call.expected_between_sites();
                Some(format!(
                    "the agents say direct, but only {seen} of {least} datagrams went from site to site"
                ))
            }
            Path::Relayed if seen > 0 => {
                Some(format!("the agents say relayed, but {seen} datagrams went from site to site"))
            }
            _ => None,
        }
    }
}

/// A line for each outcome.
#[must_use]
pub fn render(outcomes: &[Outcome]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "A behind",
        "B behind",
        "theory",
        "A's end",
        "B's end",
        "connected",
        "RTT",
        "loss",
        "",
    ]);
    for outcome in outcomes {
        let mut row = vec![
            outcome.behind[0].clone(),
            outcome.behind[1].clone(),
            outcome.expected.to_string(),
        ];
        match &outcome.call {
            Ok(call) => {
                let [a, b] = &call.sides;
                let connected = a.connect_ms.max(b.connect_ms);
                row.extend([
                    a.end.to_string(),
                    b.end.to_string(),
                    format!("{connected:.0} ms"),
                    format!("{:.2} ms", a.rtt_ms),
                    format!("{:.1} %", loss_percent(call)),
                ]);
            }
            Err(_) => row.extend(["none", "none", "–", "–", "–"].map(str::to_owned)),
        }
        row.push(if outcome.fault().is_none() { "ok" } else { "FAILED" }.to_owned());
        table.add_row(row);
    }
    for column in 5..8 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// Datagrams that did not arrive or come back, in percent of those sent by both sides.
fn loss_percent(call: &Call) -> f64 {
    if call.sent() == 0 {
        return 0.0;
    }
    100.0 * f64::from(call.sent() - call.received()) / f64::from(call.sent())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CandidateKind, End};

    /// Of the 50 datagrams of each side, `echoed` came back to A.
    fn outcome(expected: Path, said: [Path; 2], echoed: u32, seen_between_sites: u64) -> Outcome {
        let side = |kind, path, echoed| Side {
            end: End { kind, relay_transport: None, is_ipv6: false },
            path,
            connect_ms: 81.2,
            rtt_ms: 0.25,
            sent: 50,
            echoed,
            arrived: 50,
        };
        let sides =
            [side(CandidateKind::Srflx, said[0], echoed), side(CandidateKind::Relay, said[1], 50)];
        let behind = ["port-restricted", "symmetric"].map(str::to_owned);
        Outcome { behind, expected, call: Ok(Call { sides, seen_between_sites }) }
    }

    #[test]
    fn both_agents_theory_and_wire_must_agree() {
        use Path::{Direct, Relayed};
        assert_eq!(outcome(Direct, [Direct; 2], 50, 200).fault(), None);
        assert_eq!(outcome(Relayed, [Relayed; 2], 50, 0).fault(), None);
        for wrong in [
            outcome(Direct, [Relayed; 2], 50, 0),
            outcome(Direct, [Direct, Relayed], 50, 200),
            outcome(Direct, [Direct; 2], 50, 0),
            outcome(Relayed, [Relayed; 2], 50, 200),
            outcome(Relayed, [Direct; 2], 50, 200),
            outcome(Direct, [Direct; 2], 49, 200),
            outcome(Direct, [Direct; 2], 0, 200),
        ] {
            assert!(wrong.fault().is_some(), "{wrong:?}");
        }
    }

    #[test]
    fn the_table_shows_pair_times_and_loss() {
        let shown = render(&[outcome(Path::Direct, [Path::Direct; 2], 49, 200)]);
        for text in [
            "port-restricted",
            "symmetric",
            "direct",
            "srflx",
            "relay",
            "81 ms",
            "0.25 ms",
            "1.0 %",
            "FAILED",
        ] {
            assert!(shown.contains(text), "{text} in\n{shown}");
        }
    }
}
