//! A part of the demonstration, and the table of all of them.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use comfy_table::{CellAlignment, Table, presets};

/// One step of the demonstration, and its result.
pub(super) struct Part {
    name: String,
    /// The failure, if it failed.
    error: Option<anyhow::Error>,
    took: Duration,
}

impl Part {
    /// Runs the work, and times it.
    pub(super) fn of<T>(name: &str, work: impl FnOnce() -> Result<T>) -> (Option<T>, Self) {
        let started = Instant::now();
        let (value, error) = match work() {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error)),
        };
        (value, Self { name: name.to_owned(), error, took: started.elapsed() })
    }
}

/// Prints the table.
///
/// # Errors
/// A part failed.
pub(super) fn report(parts: &[Part], took: Duration) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["part", "result", "seconds"]);
    let seconds = |took: Duration| format!("{:.1}", took.as_secs_f64());
    for part in parts {
        let result = if part.error.is_none() { "ok" } else { "FAILED" };
        table.add_row([part.name.clone(), result.to_owned(), seconds(part.took)]);
    }
    let failed = parts.iter().filter(|part| part.error.is_some()).count();
    table.add_row([
        "all".to_owned(),
        if failed == 0 { "ok" } else { "FAILED" }.to_owned(),
        seconds(took),
    ]);
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    causeway_cli::print_line(&table)?;
    for part in parts {
        if let Some(error) = &part.error {
            causeway_cli::print_line(format_args!("{}: {error:#}", part.name))?;
        }
    }
    match failed {
        0 => Ok(()),
        _ => bail!("{failed} of {} parts failed", parts.len()),
    }
}
