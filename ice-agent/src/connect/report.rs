//! The report of a call, which is the JSON form of `ice-agent connect --json` (docs/ice-agent.md).

use causeway_wire::Transport;
use serde::Serialize;

use super::candidate::CandidateType;
use super::gathering::Problem;
use super::statistics::RoundTripFigures;
use super::trace::CheckState;
use crate::rendezvous::Role;

/// How the call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A pair was selected and datagrams were exchanged.
    Connected,
    /// No pair of candidates worked in time.
    NoPair,
}

/// The report of one call.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How the call ended.
    pub outcome: Outcome,
    pub room: String,
    /// This agent's role; a role conflict may change the one that the rendezvous assigned.
    pub role: Role,
    /// Whether a relay is part of the selected pair; `None` without a pair.
    pub path: Option<Path>,
    /// The pair that data used.
    pub selected: Option<SelectedPair>,
    /// Time from the start of the checks to the first selection.
    pub connect_ms: Option<f64>,
    /// Numbered datagrams sent.
    pub sent: u32,
    /// Datagrams that came back as an echo.
    pub received: u32,
    /// Datagrams that did not come back, in per cent.
    pub loss_percent: f64,
    /// Round trips of the numbered datagrams.
    pub rtt_ms: Option<RoundTripFigures>,
    /// RFC 3550 §6.4.1, over the round trips.
    pub jitter_ms: Option<f64>,
    /// The other direction: the peer's datagrams that arrived here.
    pub from_peer: FromPeer,
    /// The candidates of both sides.
    pub candidates: Vec<CandidateReport>,
    /// The pairs with checks, in the order in which they appeared.
    pub checks: Vec<CheckReport>,
    /// Steps that failed while the rest continued.
    pub errors: Vec<Problem>,
}

/// Whether a relay is part of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    Direct,
    /// A relay at one end or at both.
    Relayed,
}

#[derive(Debug, Clone, Serialize)]
pub struct SelectedPair {
    /// Our end, as the peer sees it.
    pub local: EndReport,
    /// The peer's end, as we see it.
    pub remote: EndReport,
    /// The round trip of the first check.
    pub check_rtt_ms: Option<f64>,
}

/// One end of a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndReport {
    /// `host`, `srflx`, `prflx` or `relay`.
    #[serde(rename = "type")]
    pub kind: CandidateType,
    pub address: String,
    /// The base of our end; missing for the peer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The transport between the agent and its TURN server, for a relayed candidate.
    pub relay_transport: Option<Transport>,
}

/// The datagrams of the peer.
#[derive(Debug, Clone, Serialize)]
pub struct FromPeer {
    /// Datagrams that arrived, without duplicates.
    pub received: u32,
    /// Datagrams that the peer says it sent, if it did say.
    pub sent: Option<u32>,
    /// Datagrams that did not arrive, in per cent.
    pub loss_percent: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct CandidateReport {
    /// `local` or `remote`.
    pub side: &'static str,
    /// `host`, `srflx` or `relay`.
    #[serde(rename = "type")]
    pub kind: CandidateType,
    pub address: String,
    /// The address at which its datagrams arrive; known for ours only.
    pub base: Option<String>,
    /// The URI of the server that it was learned from; known for ours only.
    pub server: Option<String>,
    /// The transport to the TURN server, for a relayed candidate.
    pub relay_transport: Option<Transport>,
    /// The local preference (RFC 8445 §5.1.2.1); known for ours only.
    pub local_preference: Option<u16>,
    /// The priority (RFC 8445 §5.1.2).
    pub priority: u32,
}

/// The checks of one pair.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    pub local: String,
    /// The type of our candidate: `host` or `relay`, since checks leave from bases.
    pub local_type: CandidateType,
    pub remote: String,
    /// The type of the peer's candidate; `prflx` if the peer did not signal it.
    pub remote_type: CandidateType,
    /// The final state of the pair.
    pub state: CheckState,
    /// Our requests, including retransmissions.
    pub requests_sent: u32,
    /// The peer's success responses.
    pub responses_received: u32,
    pub requests_received: u32,
    pub responses_sent: u32,
    /// Error codes of the peer's responses.
    pub errors: Vec<u16>,
    /// Whether a request contained USE-CANDIDATE.
    pub nominated: bool,
    /// Whether data used this pair.
    pub selected: bool,
    /// The first round trip.
    pub rtt_ms: Option<f64>,
}

impl Report {
    /// Whether the call succeeded: with a pair, and with at most `most` per cent of loss.
    #[must_use]
    pub fn is_good(&self, most: f64) -> bool {
        self.outcome == Outcome::Connected && self.sent > 0 && self.loss_percent <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documented::assert_documented;

    fn end(base: Option<String>) -> EndReport {
        let (kind, address) = (CandidateType::Relay, String::new());
        EndReport { kind, address, base, relay_transport: Some(Transport::Udp) }
    }

    #[test]
    fn the_documentation_has_every_key() {
        let report = Report {
            outcome: Outcome::Connected,
            room: String::new(),
            role: Role::Controlling,
            path: Some(Path::Direct),
            selected: Some(SelectedPair {
                local: end(Some(String::new())),
                remote: end(None),
                check_rtt_ms: None,
            }),
            connect_ms: None,
            sent: 0,
            received: 0,
            loss_percent: 0.0,
            rtt_ms: Some(RoundTripFigures { min: 0.0, p50: 0.0, p99: 0.0, max: 0.0 }),
            jitter_ms: None,
            from_peer: FromPeer { received: 0, sent: None, loss_percent: None },
            candidates: vec![CandidateReport {
                side: "local",
                kind: CandidateType::Host,
                address: String::new(),
                base: None,
                server: None,
                relay_transport: None,
                local_preference: None,
                priority: 0,
            }],
            checks: vec![CheckReport {
                local: String::new(),
                local_type: CandidateType::Host,
                remote: String::new(),
                remote_type: CandidateType::Prflx,
                state: CheckState::Succeeded,
                requests_sent: 0,
                responses_received: 0,
                requests_received: 0,
                responses_sent: 0,
                errors: Vec::new(),
                nominated: false,
                selected: false,
                rtt_ms: None,
            }],
            errors: vec![Problem {
                peer: Some([192, 0, 2, 1].into()),
                ..Problem::new("peer", "ICE", "")
            }],
        };
        assert_documented("connect", &report);
    }
}
