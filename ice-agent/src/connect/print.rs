//! The report of a call as text.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};

use super::report::{CandidateReport, EndReport, Path, Report};

/// The report as text, with its tables.
#[must_use]
pub(super) fn text(report: &Report) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "Candidates\n{}\n", candidates(report));
    let _ = writeln!(out, "Checks, as seen at our sockets\n{}\n", checks(report));
    if !report.errors.is_empty() {
        out.push_str("Failed while the rest continued\n");
        for error in &report.errors {
            let _ = writeln!(out, "  {error}");
        }
        out.push('\n');
    }
    out.push_str(&result(report));
    out
}

fn result(report: &Report) -> String {
    let mut out = String::new();
    let Some(pair) = &report.selected else {
        return "Result  no pair of candidates works\n".into();
    };
    let path = match report.path {
        Some(Path::Relayed) => "relayed",
        _ => "direct",
    };
    let _ = writeln!(out, "Result  {path}: {} <-> {}", end(&pair.local), end(&pair.remote));
    if let Some(milliseconds) = report.connect_ms {
        let _ = writeln!(
            out,
            "        selected after {milliseconds:.0} ms, our role {:?}",
            report.role
        );
    }
    let _ = writeln!(
        out,
        "Data    {} sent, {} echoed, {} % lost",
        report.sent, report.received, report.loss_percent
    );
    if let Some(rtt) = report.rtt_ms {
        let jitter = report.jitter_ms.map_or_else(|| "–".into(), |jitter| format!("{jitter:.2}"));
        let _ = writeln!(
            out,
            "        RTT p50 {:.2} ms, p99 {:.2} ms, jitter {jitter} ms",
            rtt.p50, rtt.p99
        );
    }
    let sent =
        report.from_peer.sent.map_or_else(|| "an unknown number".into(), |sent| sent.to_string());
    let _ = writeln!(
        out,
        "        {} of {sent} datagrams of the peer arrived",
        report.from_peer.received
    );
    out
}

fn end(end: &EndReport) -> String {
    match end.relay_transport {
        Some(transport) => format!("{} {} (over {transport})", end.kind, end.address),
        None => format!("{} {}", end.kind, end.address),
    }
}

fn candidates(report: &Report) -> Table {
    let mut table = table(&["side", "type", "address", "base", "from", "local pref.", "priority"]);
    let dash = || "–".to_owned();
    for candidate in &report.candidates {
        table.add_row([
            candidate.side.to_owned(),
            candidate.kind.to_string(),
            candidate.address.clone(),
            candidate.base.clone().filter(|base| *base != candidate.address).unwrap_or_else(dash),
            origin(candidate).unwrap_or_else(dash),
            candidate.local_preference.map_or_else(dash, |preference| preference.to_string()),
            candidate.priority.to_string(),
        ]);
    }
    table
}

fn origin(candidate: &CandidateReport) -> Option<String> {
    match (&candidate.server, candidate.relay_transport) {
        (Some(server), _) => Some(server.clone()),
        (None, Some(transport)) => Some(format!("TURN over {transport}")),
        (None, None) => None,
    }
}

fn checks(report: &Report) -> Table {
    let mut table =
        table(&["local", "remote", "state", "sent/answered", "came/answered", "RTT ms", ""]);
    for check in &report.checks {
        let state = serde_json::to_value(check.state).ok();
        let state = state
            .as_ref()
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .replace('_', " ");
        let codes = check.errors.iter().map(|code| format!(" {code}")).collect::<String>();
        let mark = match (check.selected, check.nominated) {
            (true, _) => "selected",
            (false, true) => "nominated",
            (false, false) => "",
        };
        table.add_row([
            format!("{} {}", check.local_type, check.local),
            format!("{} {}", check.remote_type, check.remote),
            format!("{state}{codes}"),
            format!("{}/{}", check.requests_sent, check.responses_received),
            format!("{}/{}", check.requests_received, check.responses_sent),
            check.rtt_ms.map_or_else(|| "–".into(), |rtt| format!("{rtt:.2}")),
            mark.to_owned(),
        ]);
    }
    table
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    table
}
