//! The program's output: reports on standard output, messages on standard error. `--redact` applies
//! to both.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use causeway_cli::Unwritten;
use serde::Serialize;

use crate::redact::{Kind, Redactor};

/// One redactor for all output, so that a placeholder means the same everywhere.
static REDACTOR: OnceLock<Mutex<Redactor>> = OnceLock::new();

/// Redacts all output from now on.
pub fn redact() {
    REDACTOR.get_or_init(Mutex::default);
}

/// Registers a name for redaction; does nothing without `--redact`.
pub fn learn(kind: Kind, name: &str) {
    with_redactor(|redactor| redactor.learn(kind, name));
}

/// Writes a report as text.
///
/// # Errors
/// Standard output cannot be written.
pub fn text(report: impl fmt::Display) -> Result<(), Unwritten> {
    let report = report.to_string();
    causeway_cli::answer(with_redactor(|redactor| redactor.text(&report)).unwrap_or(report))
}

/// Writes a report as JSON.
///
/// # Errors
/// The report cannot be serialised, or standard output cannot be written.
pub fn json(report: &impl Serialize) -> anyhow::Result<()> {
    let mut value = serde_json::to_value(report)?;
    if with_redactor(|redactor| redactor.json(&mut value)).is_some() {
        causeway_cli::answer_line(serde_json::to_string_pretty(&value)?)?;
    } else {
        // Serialised directly, so that keys keep their declared order; a `Value` sorts them.
        causeway_cli::answer_line(serde_json::to_string_pretty(report)?)?;
    }
    Ok(())
}

/// Writes a line to standard error.
pub fn complain(line: impl fmt::Display) {
    let line = line.to_string();
    causeway_cli::complain(with_redactor(|redactor| redactor.text(&line)).unwrap_or(line));
}

fn with_redactor<T>(with: impl FnOnce(&mut Redactor) -> T) -> Option<T> {
    // Each change to the redactor is complete before a panic could poison the lock.
    Some(with(&mut REDACTOR.get()?.lock().unwrap_or_else(PoisonError::into_inner)))
}
