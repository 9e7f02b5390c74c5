//! Builds the [`Report`] of a call that is over.

use std::time::{Duration, Instant};

use super::call::Call;
use super::candidate::{CandidateType, LocalCandidate};
use super::gathering::Problem;
use super::report::{
    CandidateReport, CheckReport, EndReport, FromPeer, Outcome, Path, Report, SelectedPair,
};
use super::statistics::{loss_percent, milliseconds};
use super::trace::PairAddresses;
use crate::rendezvous::Role;

/// The report of a call that is over; `checking_since` is the time at which the peer's credentials
/// came.
#[must_use]
pub(super) fn report(
    room: String,
    call: &Call,
    checking_since: Option<Instant>,
    errors: Vec<Problem>,
) -> Report {
    let exchange = call.exchange();
    let selected = call.selected().map(|pair| selected_pair(call, pair));
    let relayed = |end: &EndReport| end.kind == CandidateType::Relay;
    let path = selected.as_ref().map(|pair| {
        if relayed(&pair.local) || relayed(&pair.remote) { Path::Relayed } else { Path::Direct }
    });
    Report {
        outcome: if selected.is_some() { Outcome::Connected } else { Outcome::NoPair },
        room,
        role: if call.ice().is_controlling() { Role::Controlling } else { Role::Controlled },
        path,
        selected,
        connect_ms: checking_since
            .zip(call.first_selected_at())
            .map(|(since, at)| milliseconds(at.saturating_duration_since(since))),
        sent: exchange.sent(),
        received: exchange.echoed(),
        loss_percent: loss_percent(exchange.sent(), exchange.echoed()),
        rtt_ms: exchange.round_trips().figures(),
        jitter_ms: exchange.round_trips().jitter(),
        from_peer: FromPeer {
            received: exchange.received_from_peer(),
            sent: call.peer_sent(),
            loss_percent: call
                .peer_sent()
                .map(|sent| loss_percent(sent, exchange.received_from_peer())),
        },
        candidates: candidates(call),
        checks: checks(call),
        errors,
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
            local_type: base_candidate(call, check.pair)
                .map_or(CandidateType::Host, |local| local.kind),
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
    let round_trip: Option<Duration> =
        call.ice().trace().check(pair).and_then(|check| check.round_trip);
    SelectedPair {
        local: local_end(call, pair),
        remote: remote_end(call, pair),
        check_rtt_ms: round_trip.map(milliseconds),
    }
}

/// The candidate whose address is the pair's local base.
fn base_candidate(call: &Call, pair: PairAddresses) -> Option<&LocalCandidate> {
    let mut locals = call.ice().locals().iter().map(|(local, _)| local);
    locals.find(|local| local.base == pair.local && local.kind != CandidateType::Srflx)
}

/// The local end of a pair. Checks leave from the base; the mapped address in the peer's answer
/// shows which candidate of that base the peer sees (RFC 8445 §7.2.5.3.1).
fn local_end(call: &Call, pair: PairAddresses) -> EndReport {
    let base = base_candidate(call, pair);
    let mapped =
        call.ice().trace().check(pair).and_then(|check| check.mapped).unwrap_or(pair.local);
    let relay_transport = base.and_then(|local| local.relayed_over);
    let is_known = |kind| {
        call.ice().locals().iter().any(|(local, _)| {
            local.kind == kind && local.base == pair.local && local.address == mapped
        })
    };
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
    EndReport {
        kind,
        address: address.to_string(),
        base: Some(pair.local.to_string()),
        relay_transport,
    }
}

fn remote_end(call: &Call, pair: PairAddresses) -> EndReport {
    let known = call
        .ice()
        .remotes()
        .iter()
        .filter(|remote| remote.address == pair.remote)
        .max_by_key(|remote| remote.priority);
    EndReport {
        kind: known.map_or(CandidateType::Prflx, |remote| remote.kind),
        address: pair.remote.to_string(),
        base: None,
        relay_transport: known.and_then(|remote| remote.relayed_over),
    }
}
