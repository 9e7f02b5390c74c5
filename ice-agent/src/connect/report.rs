//! What a call showed, for machines: the JSON document of `ice-agent connect --json`.
//!
//! Addresses are `host:port` texts, times are milliseconds. A field that has no value is `null`,
//! except where it is noted as left out. Fields are only ever added.

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
    /// A pair was selected and the exchange was made; its loss is in the figures.
    Connected,
    /// No pair of candidates worked in time.
    NoPair,
}

/// The document.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How the call ended.
    pub outcome: Outcome,
    /// The room's name.
    pub room: String,
    /// Who nominated; after a role conflict not what the rendezvous said.
    pub role: Role,
    /// `"direct"`, or `"relayed"` if either end of the selected pair is a relay; `null` without a
    /// pair.
    pub path: Option<Path>,
    /// The pair that data went over.
    pub selected: Option<SelectedPair>,
    /// From the start of the checks, when the peer was known, to the first selection.
    pub connect_ms: Option<f64>,
    /// Numbered datagrams sent.
    pub sent: u32,
    /// Of these, how many came back as an echo.
    pub received: u32,
    /// What is missing of `sent`.
    pub loss_percent: f64,
    /// Round trips of the numbered datagrams.
    pub rtt_ms: Option<RoundTripFigures>,
    /// RFC 3550 §6.4.1, over the round trips.
    pub jitter_ms: Option<f64>,
    /// The other direction, counted here: the peer's numbered datagrams, one way.
    pub from_peer: FromPeer,
    /// Ours and the peer's.
    pub candidates: Vec<CandidateReport>,
    /// The pairs on which checks went by, in the order in which they showed.
    pub checks: Vec<CheckReport>,
    /// What failed while the rest went on.
    pub errors: Vec<Problem>,
}

/// Whether a relay is between the agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// No relay.
    Direct,
    /// At one end or both.
    Relayed,
}

/// The selected pair.
#[derive(Debug, Clone, Serialize)]
pub struct SelectedPair {
    /// Our end, as the peer sees it.
    pub local: EndReport,
    /// The peer's end, as we see it.
    pub remote: EndReport,
    /// The first check's round trip.
    pub check_rtt_ms: Option<f64>,
}

/// One end of a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndReport {
    /// `host`, `srflx`, `prflx` or `relay`.
    #[serde(rename = "type")]
    pub kind: CandidateType,
    /// The candidate's address.
    pub address: String,
    /// Our end: the base. Left out of the peer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Of a relayed candidate: `udp` or `tcp`, between its agent and its TURN server.
    pub relay_transport: Option<Transport>,
}

/// What came from the peer.
#[derive(Debug, Clone, Serialize)]
pub struct FromPeer {
    /// Different numbered datagrams.
    pub received: u32,
    /// How many it says it sent; `null` if it did not say.
    pub sent: Option<u32>,
    /// What is missing of these.
    pub loss_percent: Option<f64>,
}

/// One candidate.
#[derive(Debug, Clone, Serialize)]
pub struct CandidateReport {
    /// `local` or `remote`.
    pub side: &'static str,
    /// `host`, `srflx` or `relay`.
    #[serde(rename = "type")]
    pub kind: CandidateType,
    /// Its address.
    pub address: String,
    /// Where datagrams to it arrive; known of ours only.
    pub base: Option<String>,
    /// The URI of the server that it came from; known of ours only.
    pub server: Option<String>,
    /// Of a relayed one: the transport to its TURN server.
    pub relay_transport: Option<Transport>,
    /// RFC 8445 §5.1.2.1; known of ours only.
    pub local_preference: Option<u16>,
    /// RFC 8445 §5.1.2.
    pub priority: u32,
}

/// One pair's checks.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// Our base.
    pub local: String,
    /// The type of our candidate: `host` or `relay`, since checks leave from bases.
    pub local_type: CandidateType,
    /// The peer's address.
    pub remote: String,
    /// The peer's candidate's type; `prflx` if it was not told of.
    pub remote_type: CandidateType,
    /// How it ended.
    pub state: CheckState,
    /// Ours, with repetitions.
    pub requests_sent: u32,
    /// The peer's success responses.
    pub responses_received: u32,
    /// The peer's.
    pub requests_received: u32,
    /// Our success responses.
    pub responses_sent: u32,
    /// Error codes of the peer's responses.
    pub errors: Vec<u16>,
    /// Whether USE-CANDIDATE went by.
    pub nominated: bool,
    /// The pair that data went over.
    pub selected: bool,
    /// The first round trip.
    pub rtt_ms: Option<f64>,
}

impl Report {
    /// Whether what a call needs worked: a pair, and no more loss than `most` percent.
    #[must_use]
    pub fn is_good(&self, most: f64) -> bool {
        self.outcome == Outcome::Connected && self.sent > 0 && self.loss_percent <= most
    }
}
