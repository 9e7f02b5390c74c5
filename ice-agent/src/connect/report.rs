//! What a call showed, for machines: the JSON document of `ice-agent connect --json`.
//!
//! Addresses are `host:port` texts, times are milliseconds. A field that has no value is `null`, except where it is noted
//! as left out. Fields are only ever added.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::call::Call;
use super::candidate::{CandidateType, LocalCandidate};
use super::gathering::Trouble;
use super::statistics::{RoundTripFigures, loss_percent, milliseconds};
use super::trace::{CheckState, PairAddresses};
use crate::rendezvous::Role;
use crate::uri::Transport;

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
    /// `"direct"`, or `"relayed"` if either end of the selected pair is a relay; `null` without a pair.
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
    pub errors: Vec<Trouble>,
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
    /// The document on a call that is over; `checking_since` is when the peer's credentials came.
    #[must_use]
    pub(super) fn new(room: String, call: &Call, checking_since: Option<Instant>, errors: Vec<Trouble>) -> Self {
        let exchange = call.exchange();
        let selected = call.selected().map(|pair| selected_pair(call, pair));
        let relayed = |end: &EndReport| end.kind == CandidateType::Relay;
        let path = selected.as_ref().map(|pair| if relayed(&pair.local) || relayed(&pair.remote) { Path::Relayed } else { Path::Direct });
        Self {
            outcome: if selected.is_some() { Outcome::Connected } else { Outcome::NoPair },
            room,
            role: if call.ice().is_controlling() { Role::Controlling } else { Role::Controlled },
            path,
            selected,
            connect_ms: checking_since.zip(call.first_selected_at()).map(|(since, at)| milliseconds(at.saturating_duration_since(since))),
            sent: exchange.sent(),
            received: exchange.echoed(),
            loss_percent: loss_percent(exchange.sent(), exchange.echoed()),
            rtt_ms: exchange.round_trips().figures(),
            jitter_ms: exchange.round_trips().jitter(),
            from_peer: FromPeer {
                received: exchange.received_from_peer(),
                sent: call.peer_sent(),
                loss_percent: call.peer_sent().map(|sent| loss_percent(sent, exchange.received_from_peer())),
            },
            candidates: candidates(call),
            checks: checks(call),
            errors,
        }
    }

    /// Whether what a call needs worked: a pair, and no more loss than `most` percent.
    #[must_use]
    pub fn is_good(&self, most: f64) -> bool {
        self.outcome == Outcome::Connected && self.sent > 0 && self.loss_percent <= most
    }
}

fn candidates(call: &Call) -> Vec<CandidateReport> {
    let ours = call.ice().locals().iter().map(|(local, priority)| CandidateReport {
        side: "local",
        kind: local.kind,
        address: local.address.to_string(),
        base: Some(local.base.to_string()),
        server: local.server.clone(),
        relay_transport: local.relayed_over,
        local_preference: Some(local.local_preference),
        priority: *priority,
    });
    let theirs = call.ice().remotes().iter().map(|remote| CandidateReport {
        side: "remote",
        kind: remote.kind,
        address: remote.address.to_string(),
        base: None,
        server: None,
        relay_transport: remote.relayed_over,
        local_preference: None,
        priority: remote.priority,
    });
    ours.chain(theirs).collect()
}

fn checks(call: &Call) -> Vec<CheckReport> {
    let checks = call.ice().trace().checks(true);
    checks
        .map(|check| CheckReport {
            local: check.pair.local.to_string(),
            local_type: base_candidate(call, check.pair).map_or(CandidateType::Host, |local| local.kind),
            remote: check.pair.remote.to_string(),
            remote_type: remote_end(call, check.pair).kind,
            state: check.state,
            requests_sent: check.requests_sent,
            responses_received: check.responses_received,
            requests_received: check.requests_received,
            responses_sent: check.responses_sent,
            nominated: check.nominated,
            selected: call.selected() == Some(check.pair),
            rtt_ms: check.round_trip.map(milliseconds),
            errors: check.errors,
        })
        .collect()
}

fn selected_pair(call: &Call, pair: PairAddresses) -> SelectedPair {
    let round_trip: Option<Duration> = call.ice().trace().check(pair).and_then(|check| check.round_trip);
    SelectedPair { local: local_end(call, pair), remote: remote_end(call, pair), check_rtt_ms: round_trip.map(milliseconds) }
}

/// The candidate that is its own base.
fn base_candidate(call: &Call, pair: PairAddresses) -> Option<&LocalCandidate> {
    let mut locals = call.ice().locals().iter().map(|(local, _)| local);
    locals.find(|local| local.base == pair.local && local.kind != CandidateType::Srflx)
}

/// Checks leave from the base; which candidate of that base the peer sees, the mapped address of its answer tells
/// (RFC 8445 §7.2.5.3.1).
fn local_end(call: &Call, pair: PairAddresses) -> EndReport {
    let base = base_candidate(call, pair);
    let mapped = call.ice().trace().check(pair).and_then(|check| check.mapped).unwrap_or(pair.local);
    let relay_transport = base.and_then(|local| local.relayed_over);
    let is_known =
        |kind| call.ice().locals().iter().any(|(local, _)| local.kind == kind && local.base == pair.local && local.address == mapped);
    let kind = if base.is_some_and(|local| local.kind == CandidateType::Relay) {
        CandidateType::Relay
    } else if mapped == pair.local {
        CandidateType::Host
    } else if is_known(CandidateType::Srflx) {
        CandidateType::Srflx
    } else {
        CandidateType::Prflx
    };
    let address = if kind == CandidateType::Relay { pair.local } else { mapped };
    EndReport { kind, address: address.to_string(), base: Some(pair.local.to_string()), relay_transport }
}

fn remote_end(call: &Call, pair: PairAddresses) -> EndReport {
    let told = call.ice().remotes().iter().filter(|remote| remote.address == pair.remote).max_by_key(|remote| remote.priority);
    EndReport {
        kind: told.map_or(CandidateType::Prflx, |remote| remote.kind),
        address: pair.remote.to_string(),
        base: None,
        relay_transport: told.and_then(|remote| remote.relayed_over),
    }
}
