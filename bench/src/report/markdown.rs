//! The report as a Markdown table.

use crate::report::{Column, Outcome, Report};

/// The report as a Markdown table, a row for each case.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = String::from(
        "| | CPU, ratio | ns each | packets/s a core | Gbit/s a core | packets/s | p99, µs | lost | late | goal |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for outcome in &report.outcomes {
        text.push_str(&row(outcome));
    }
    text
}

/// One row; the second server's figure follows the first's.
#[must_use]
pub fn row(outcome: &Outcome) -> String {
    let [ours, theirs] = &outcome.servers;
    let goals: Vec<String> = outcome
        .verdicts
        .iter()
        .map(|verdict| format!("{} {}: {}", verdict.figure, verdict.goal, verdict.standing))
        .collect();
    let goals = goals.join("; ");
    if ours.sent == 0 {
        let memory = |kib: u64| kib as f64 / 1024.0;
        return format!(
            "| {} | | idle {:.1} / {:.1} MiB | {:.0} / {:.0} B an allocation | | | | | | {goals} |\n",
            outcome.about,
            memory(ours.memory.idle_kib),
            memory(theirs.memory.idle_kib),
            ours.memory.bytes_an_allocation,
            theirs.memory.bytes_an_allocation,
        );
    }
    let rate = if outcome.ratio.cpu.median.is_finite() {
        outcome.ratio.cpu.to_string()
    } else {
        format!("rate {}", outcome.ratio.rate)
    };
    let both = |figure: fn(&Column) -> f64, digits: usize| {
        format!("{:.digits$} / {:.digits$}", figure(ours), figure(theirs))
    };
    format!(
        "| {} | {rate} | {} | {} | {} | {} | {} | {} / {} | {} / {} | {goals} |\n",
        outcome.about,
        both(|column| column.cpu_ns, 0),
        both(|column| column.deliveries_a_core, 0),
        both(|column| column.gbit_a_core, 2),
        both(|column| column.rate, 0),
        both(|column| column.p99_us, 0),
        ours.lost,
        theirs.lost,
        ours.late,
        theirs.late,
    )
}
