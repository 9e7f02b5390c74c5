//! The report as a table for documents.

use crate::report::{Outcome, Report};

/// The report as a table of Markdown.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = String::from("| | CPU, ratio | ns each | packets/s | p99, µs | lost | goal |\n|---|---|---|---|---|---|---|\n");
    for outcome in &report.outcomes {
        text.push_str(&row(outcome));
    }
    text
}

/// One row; the second server's figure stands behind the first's.
#[must_use]
pub fn row(outcome: &Outcome) -> String {
    let [ours, theirs] = &outcome.servers;
    let goals: Vec<String> =
        outcome.verdicts.iter().map(|verdict| format!("{} {}: {}", verdict.figure, verdict.goal, verdict.standing)).collect();
    let goals = goals.join("; ");
    if ours.sent == 0 {
        let memory = |kib: u64| kib as f64 / 1024.0;
        return format!(
            "| {} | | idle {:.1} / {:.1} MiB | {:.0} / {:.0} B an allocation | | | {goals} |\n",
            outcome.about,
            memory(ours.memory.idle_kib),
            memory(theirs.memory.idle_kib),
            ours.memory.bytes_an_allocation,
            theirs.memory.bytes_an_allocation,
        );
    }
    let rate = if outcome.ratio.cpu.median.is_finite() { outcome.ratio.cpu.to_string() } else { format!("rate {}", outcome.ratio.rate) };
    format!(
        "| {} | {rate} | {:.0} / {:.0} | {:.0} / {:.0} | {:.0} / {:.0} | {} / {} | {goals} |\n",
        outcome.about, ours.cpu_ns, theirs.cpu_ns, ours.rate, theirs.rate, ours.p99_us, theirs.p99_us, ours.lost, theirs.lost
    )
}
