//! The tests as they ran, and what they show apart from behaviour: whether ports are kept, and how
//! much the path loses.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;

use super::loss::Loss;

/// One test and its result.
#[derive(Debug, Clone, Serialize)]
pub struct Test {
    /// The test's name, as in RFC 5780 where that has one.
    pub name: &'static str,
    /// The local address of the socket; each filtering test has a socket of its own.
    pub local: SocketAddr,
    /// The destination of the requests.
    pub sent_to: SocketAddr,
    /// The address that was to answer, relative to the destination.
    pub asked: &'static str,
    /// How many requests were sent.
    pub requests: u32,
    /// The mapped address in the answer.
    pub mapped: Option<SocketAddr>,
    /// The source of the answer.
    pub answered_from: Option<SocketAddr>,
    /// Why there is no answer.
    pub failure: Option<String>,
}

/// Whether the NAT kept this host's ports in these tests. Another host behind the same NAT may
/// change that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ports {
    /// Sockets with a mapped address.
    pub sockets: u32,
    /// Sockets that kept their port for every destination.
    pub kept: u32,
    /// Sockets that kept their port for some destinations only.
    pub partly: u32,
    /// Destinations that answered.
    pub destinations: u32,
}

impl Ports {
    /// Evaluates the answered tests; `None` if there is none.
    pub(super) fn of(tests: &[Test]) -> Option<Self> {
        // Whether the port was kept for a destination, and whether it was changed for one.
        let mut sockets: BTreeMap<SocketAddr, (bool, bool)> = BTreeMap::new();
        let mut destinations: Vec<SocketAddr> = Vec::new();
        for (test, mapped) in
            tests.iter().filter_map(|test| test.mapped.map(|mapped| (test, mapped)))
        {
            let (kept, moved) = sockets.entry(test.local).or_default();
            *(if mapped.port() == test.local.port() { kept } else { moved }) = true;
            destinations.push(test.sent_to);
        }
        destinations.sort_unstable();
        destinations.dedup();
        let count = |wanted| sockets.values().filter(|seen| **seen == wanted).count() as u32;
        (!sockets.is_empty()).then_some(Self {
            sockets: sockets.len() as u32,
            kept: count((true, false)),
            partly: count((true, true)),
            destinations: destinations.len() as u32,
        })
    }
}

/// The loss of plain requests, among those that were answered or are overdue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LossReport {
    /// Requests that a path without loss would have answered.
    pub requests: u32,
    /// Requests among them that were not answered.
    pub lost: u32,
    /// Lost requests in per cent.
    pub percent: f64,
}

impl LossReport {
    /// `None` if there was no such request.
    pub(super) fn of(loss: Loss) -> Option<Self> {
        let Loss { answered, lost } = loss;
        let requests = answered + lost;
        let percent = (f64::from(lost) * 1000.0 / f64::from(requests.max(1))).round() / 10.0;
        (answered > 0).then_some(Self { requests, lost, percent })
    }
}

/// A chance in per cent, as text.
pub(super) fn percent(chance: f64) -> String {
    let percent = chance * 100.0;
    match percent {
        _ if percent < 0.001 => "below 0.001 %".into(),
        _ if percent < 0.1 => format!("{percent:.3} %"),
        _ => format!("{percent:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_written_for_people() {
        for (chance, text) in [(1e-9, "below 0.001 %"), (0.000_976, "0.098 %"), (0.5, "50.0 %")] {
            assert_eq!(percent(chance), text);
        }
    }
}
