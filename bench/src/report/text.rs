//! The report as text for the terminal.

use crate::report::{Column, Outcome, Report};

/// The heading: machine, place and settings of the measurement.
#[must_use]
pub fn preface(report: &Report) -> String {
    let mut text = format!(
        "{}, {}; {}; {} pairs of {} ms over {} starts\n",
        report.processor, report.kernel, report.place, report.pairs, report.slice_ms, report.starts
    );
    for setting in &report.settings {
        text.push_str(&format!("  {setting}\n"));
    }
    text
}

/// The result of a case in a few lines.
#[must_use]
pub fn outcome(outcome: &Outcome) -> String {
    let mut text = format!("{}: {}\n", outcome.name, outcome.about);
    let width = outcome.servers.iter().map(|server| server.name.chars().count()).max().unwrap_or(0);
    for server in &outcome.servers {
        text.push_str(&format!("  {:width$}  {}\n", server.name, column(server)));
    }
    let ratio = &outcome.ratio;
    if ratio.cpu.median.is_finite() {
        text.push_str(&format!(
            "  ratio: CPU {}, rate {}, p99 later by {:.0} µs\n",
            ratio.cpu, ratio.rate, ratio.later_us.median
        ));
    } else if ratio.rate.median.is_finite() {
        text.push_str(&format!(
            "  ratio: rate {}, p99 later by {:.0} µs\n",
            ratio.rate, ratio.later_us.median
        ));
    }
    if outcome.is_unsteady() && ratio.rate.median.is_finite() {
        text.push_str(&format!(
            "  the host took {:.0} % of a processor meanwhile: it makes the p99\n",
            outcome.stolen * 100.0
        ));
    }
    for verdict in &outcome.verdicts {
        text.push_str(&format!(
            "  {} {:.2}, goal {}: {}\n",
            verdict.figure, verdict.value, verdict.goal, verdict.standing
        ));
    }
    text
}

/// The number of goals reached, and the goals that are missed.
#[must_use]
pub fn standings(report: &Report) -> String {
    let verdicts = || {
        report
            .outcomes
            .iter()
            .flat_map(|outcome| outcome.verdicts.iter().map(move |verdict| (outcome, verdict)))
    };
    let count =
        |standing: &str| verdicts().filter(|(_, verdict)| verdict.standing == standing).count();
    let missed: Vec<String> = verdicts()
        .filter(|(_, verdict)| verdict.standing == "missed")
        .map(|(outcome, verdict)| {
            format!("{} ({} {:.2}, {})", outcome.name, verdict.figure, verdict.value, verdict.goal)
        })
        .collect();
    match verdicts().count() {
        0 => String::new(),
        _ if missed.is_empty() => {
            format!("goals: {} at the aim, {} met, none missed\n", count("aim"), count("met"))
        }
        _ => format!(
            "goals: {} at the aim, {} met, {} missed: {}\n",
            count("aim"),
            count("met"),
            missed.len(),
            missed.join(", ")
        ),
    }
}

fn column(server: &Column) -> String {
    let memory = &server.memory;
    if server.sent == 0 {
        return format!(
            "{:.1} MiB idle, {:.1} MiB loaded, {:.0} B an allocation",
            memory.idle_kib as f64 / 1024.0,
            memory.loaded_kib as f64 / 1024.0,
            memory.bytes_an_allocation
        );
    }
    let allocations = server
        .allocations_a_core
        .map(|count| format!(", {count:.0} allocations a core"))
        .unwrap_or_default();
    format!(
        "{:6.0} ns, {:6.0}/s, p50 {:.0} µs, p99 {:.0} µs, lost {} and late {} of {}, {:.1} MiB; {:.0}/s and {:.2} Gbit/s a core{allocations}",
        server.cpu_ns,
        server.rate,
        server.p50_us,
        server.p99_us,
        server.lost,
        server.late,
        server.sent,
        memory.loaded_kib as f64 / 1024.0,
        server.deliveries_a_core,
        server.gbit_a_core,
    )
}
