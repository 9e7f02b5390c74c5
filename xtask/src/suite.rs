//! One suite of the tests, and the table of their results.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use comfy_table::{CellAlignment, Table, presets};

/// A part of `cargo xtask test` that passes or fails on its own.
pub(crate) struct Suite {
    /// Its name on the command line and in the table.
    pub(crate) name: &'static str,
    /// The claim that it proves when it passes.
    pub(crate) shows: &'static str,
    /// How long it may take; it is ended after that.
    pub(crate) limit: Duration,
    /// Its work, with its deadline.
    pub(crate) run: fn(Instant) -> Result<()>,
}

struct Outcome {
    suite: &'static Suite,
    result: Result<()>,
    took: Duration,
}

/// Runs all the suites, also after a failure, and prints the table.
///
/// # Errors
/// One of them failed.
pub(crate) fn run_all(suites: &[&'static Suite]) -> Result<()> {
    let started = Instant::now();
    let mut outcomes = Vec::new();
    for &suite in suites {
        causeway_cli::complain(format_args!("\n=== {}: {}", suite.name, suite.shows));
        let started = Instant::now();
        let result = (suite.run)(started + suite.limit);
        if let Err(error) = &result {
            causeway_cli::complain(format_args!("\n{} FAILED: {error:#}", suite.name));
        }
        outcomes.push(Outcome { suite, result, took: started.elapsed() });
    }
    causeway_cli::print_line(format_args!("\n{}", table(&outcomes, started.elapsed())))?;
    let failed: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| Some((outcome.suite.name, outcome.result.as_ref().err()?)))
        .collect();
    for (name, error) in &failed {
        causeway_cli::print_line(format_args!("{name}: {error:#}"))?;
    }
    match failed.len() {
        0 => Ok(()),
        count => bail!("{count} of {} suites failed", outcomes.len()),
    }
}

fn table(outcomes: &[Outcome], took: Duration) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["suite", "shows", "result", "seconds"]);
    for outcome in outcomes {
        table.add_row([
            outcome.suite.name.to_owned(),
            outcome.suite.shows.to_owned(),
            if outcome.result.is_ok() { "ok" } else { "FAILED" }.to_owned(),
            format!("{:.1}", outcome.took.as_secs_f64()),
        ]);
    }
    let failed = outcomes.iter().any(|outcome| outcome.result.is_err());
    table.add_row([
        "all".to_owned(),
        String::new(),
        if failed { "FAILED" } else { "ok" }.to_owned(),
        format!("{:.1}", took.as_secs_f64()),
    ]);
    if let Some(seconds) = table.column_mut(3) {
        seconds.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static RAN: AtomicUsize = AtomicUsize::new(0);

    static FAILS: Suite = Suite {
        name: "fails",
        shows: "that a failure is kept",
        limit: Duration::from_secs(1),
        run: |_| bail!("as planned"),
    };
    static PASSES: Suite = Suite {
        name: "passes",
        shows: "that it is run all the same",
        limit: Duration::from_secs(1),
        run: |_| {
            RAN.fetch_add(1, Ordering::Relaxed);
            Ok(())
        },
    };

    #[test]
    fn a_failing_suite_does_not_hide_the_next() {
        let error = run_all(&[&FAILS, &PASSES]).expect_err("one of them fails");
        assert_eq!(error.to_string(), "1 of 2 suites failed");
        assert_eq!(RAN.load(Ordering::Relaxed), 1);
    }
}
