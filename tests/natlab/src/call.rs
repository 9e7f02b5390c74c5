//! `ice-agent` at the sites: a call between two of them, and what they and the wire say of it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::agent::Agent;
use crate::services::{PASSWORD, Services, USER};
use crate::theory::Path;
use crate::{Lab, LabError, Process, binary};

/// Numbered datagrams that each side sends.
const COUNT: u32 = 50;
const INTERVAL_MS: u32 = 20;
/// Longer than any connectivity check, so that data is told from checks on the wire.
const SIZE: u32 = Lab::DATA_LENGTH;
/// Until a pair is selected: a TURN server that UDP does not reach has to be given up first.
const TIMEOUT_S: u32 = 30;
const END: Duration = Duration::from_secs(90);

/// The type of a candidate, RFC 8445 §5.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CandidateKind {
    /// An interface of the host.
    Host,
    /// The outside of a NAT, told by a STUN server.
    Srflx,
    /// The outside of a NAT, told by the peer.
    Prflx,
    /// An allocation at the TURN server.
    Relay,
}

impl fmt::Display for CandidateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Host => "host",
            Self::Srflx => "srflx",
            Self::Prflx => "prflx",
            Self::Relay => "relay",
        })
    }
}

/// One end of the selected pair, as the agent at that end says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The type of the candidate that the peer sends to.
    pub kind: CandidateKind,
    /// `udp`, `tcp`, `tls` or `dtls`: how a relayed one reaches its TURN server.
    pub relay_transport: Option<String>,
    /// Whether the peer sends over IPv6.
    pub is_ipv6: bool,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.is_ipv6 { " v6" } else { "" };
        match &self.relay_transport {
            Some(transport) => write!(f, "{}/{transport}{family}", self.kind),
            None => write!(f, "{}{family}", self.kind),
        }
    }
}

/// One agent's report of a call that connected.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// Its own end of the selected pair.
    pub end: End,
    /// Relayed if either end of the pair is a relay.
    pub path: Path,
    /// From meeting its peer to having a pair, in milliseconds.
    pub connect_ms: f64,
    /// The median round trip, in milliseconds.
    pub rtt_ms: f64,
    /// Numbered datagrams that it sent.
    pub sent: u32,
    /// Of these, how many came back as an echo.
    pub echoed: u32,
    /// Numbered datagrams of the peer that arrived here.
    pub arrived: u32,
}

/// A call that connected.
#[derive(Debug, Clone)]
pub struct Call {
    /// The reports of the agents at sites 0 and 1.
    pub sides: [Side; 2],
    /// Datagrams of the exchange's size that the internet carried from site to site, not to or
    /// from the server.
    pub seen_between_sites: u64,
}

impl Call {
    /// Numbered datagrams sent by both sides.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.sides.iter().map(|side| side.sent).sum()
    }

    /// Of these, how many arrived and came back.
    #[must_use]
    pub fn received(&self) -> u32 {
        let [a, b] = &self.sides;
        a.echoed.min(b.arrived) + b.echoed.min(a.arrived)
    }

    /// The least that the internet carries between the sites of a direct call without loss: each
    /// datagram and its echo.
    #[must_use]
    pub fn expected_between_sites(&self) -> u64 {
        2 * u64::from(self.sent())
    }
}

/// Lets the agents of sites 0 and 1 call each other, each with all servers that its way to the
/// internet suggests.
///
/// # Errors
/// [`LabError::Program`] with an agent's report when there was no connection.
pub fn call(lab: &Lab, services: &Services) -> Result<Call, LabError> {
    call_as(lab, [Agent::at(lab, 0, services), Agent::at(lab, 1, services)])
}

/// Lets these agents call each other from sites 0 and 1.
///
/// # Errors
/// As [`call`].
pub fn call_as(lab: &Lab, [a, b]: [Agent; 2]) -> Result<Call, LabError> {
    let agents =
        [a.start(lab, 0, COUNT, INTERVAL_MS, SIZE)?, b.start(lab, 1, COUNT, INTERVAL_MS, SIZE)?];
    let [a, b] = agents.map(|agent| agent.finish(END).and_then(crate::Finished::success));
    Ok(Call { sides: [side(&a?)?, side(&b?)?], seen_between_sites: lab.data_between_sites()? })
}

/// A call that goes on for a while between sites 0 and 1, by this TURN server over UDP.
#[derive(Debug)]
pub struct Steady([Process; 2]);

impl Steady {
    /// Starts both agents in a room of their own; each will send `count` datagrams, `interval_ms`
    /// apart.
    ///
    /// # Errors
    /// [`LabError::Program`] when an agent cannot be started.
    pub fn start(
        lab: &Lab,
        services: &Services,
        turn: SocketAddr,
        room: usize,
        count: u32,
        interval_ms: u32,
    ) -> Result<Self, LabError> {
        let start = |index: usize| {
            let mut command = lab.sites[index].client.namespace.command(binary("ice-agent")?);
            // A secret link: a name would cost each of forty agents a third of a second in a debug
            // build.
            command.args([
                "connect",
                "--json",
                "--rendezvous",
                &format!("{}/#{room:0>21}A", services.rendezvous_url()),
            ]);
            command.args(["--turn", &format!("turn:{turn}?transport=udp"), "--max-loss", "100"]);
            command.env("ICE_AGENT_USERNAME", USER).env("ICE_AGENT_PASSWORD", PASSWORD);
            for (option, value) in
                [("--count", count), ("--interval", interval_ms), ("--timeout", TIMEOUT_S)]
            {
                command.args([option, &value.to_string()]);
            }
            Process::start(format!("ice-agent connect at site {index}, room {room}"), command)
        };
        Ok(Self([start(0)?, start(1)?]))
    }

    /// Waits until both have selected a pair, and so send.
    ///
    /// # Errors
    /// What an agent said that did not.
    pub fn wait_selected(&mut self) -> Result<(), LabError> {
        for agent in &mut self.0 {
            agent.wait_line("selected ", END)?;
        }
        Ok(())
    }

    /// Waits for the end of both; what they say.
    ///
    /// # Errors
    /// [`LabError::Program`] with an agent's report when it ended with a failure.
    pub fn finish(self) -> Result<[Side; 2], LabError> {
        let [a, b] = self.0.map(|agent| agent.finish(END).and_then(crate::Finished::success));
        Ok([side(&a?)?, side(&b?)?])
    }
}

/// The part of `ice-agent connect --json` that the lab reads.
#[derive(Debug, Deserialize)]
struct Report {
    selected: Option<SelectedPair>,
    connect_ms: Option<f64>,
    sent: u32,
    received: u32,
    rtt_ms: Option<RoundTrips>,
    from_peer: FromPeer,
}

#[derive(Debug, Deserialize)]
struct SelectedPair {
    local: EndReport,
    remote: EndReport,
}

#[derive(Debug, Deserialize)]
struct EndReport {
    #[serde(rename = "type")]
    kind: CandidateKind,
    address: SocketAddr,
    relay_transport: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RoundTrips {
    p50: f64,
}

#[derive(Debug, Deserialize)]
struct FromPeer {
    received: u32,
}

/// Reads a report of success.
fn side(output: &str) -> Result<Side, LabError> {
    let unexpected = |what: String| {
        LabError::Unexpected(format!("ice-agent connect --json: {what} in:\n{output}"))
    };
    let report: Report =
        serde_json::from_str(output).map_err(|error| unexpected(error.to_string()))?;
    let (Some(pair), Some(connect_ms), Some(rtt)) =
        (report.selected, report.connect_ms, report.rtt_ms)
    else {
        return Err(unexpected("a success without a pair or a round trip".to_owned()));
    };
    let relayed = [&pair.local, &pair.remote].iter().any(|end| end.kind == CandidateKind::Relay);
    Ok(Side {
        end: End {
            kind: pair.local.kind,
            relay_transport: pair.local.relay_transport,
            is_ipv6: pair.local.address.is_ipv6(),
        },
        path: if relayed { Path::Relayed } else { Path::Direct },
        connect_ms,
        rtt_ms: rtt.p50,
        sent: report.sent,
        echoed: report.received,
        arrived: report.from_peer.received,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_and_a_relay_at_the_far_end_counts() {
        let text = r#"{ "outcome": "connected", "selected": {
            "local": { "type": "prflx", "address": "45.11.0.2:9", "base": "10.0.0.2:9",
                       "relay_transport": null },
            "remote": { "type": "relay", "address": "80.80.80.2:50000", "relay_transport": "tcp" },
            "check_rtt_ms": 0.4 }, "connect_ms": 80.5, "sent": 50, "received": 50,
            "rtt_ms": { "min": 0.1, "p50": 0.2, "p99": 0.3, "max": 0.4 },
            "from_peer": { "received": 50, "sent": 50, "loss_percent": 0.0 }, "candidates": [] }"#;
        let side = side(text).unwrap();
        assert_eq!((side.path, side.end.to_string().as_str()), (Path::Relayed, "prflx"));
        assert_eq!((side.sent, side.rtt_ms), (50, 0.2));
    }

    #[test]
    fn a_success_without_a_pair_is_no_success() {
        let text = r#"{ "outcome": "no_pair", "selected": null, "connect_ms": null,
            "sent": 0, "received": 0, "rtt_ms": null,
            "from_peer": { "received": 0, "sent": null, "loss_percent": null } }"#;
        assert!(side(text).unwrap_err().to_string().contains("without a pair"));
    }
}
