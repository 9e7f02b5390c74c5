//! The output of this program: reports on standard output, the rest on standard error; both
//! redacted with `--redact`.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use causeway_cli::Unwritten;
use serde::Serialize;

use crate::redact::{Kind, Redactor};

/// There is one standard output, and a placeholder means the same wherever it stands.
static REDACTOR: OnceLock<Mutex<Redactor>> = OnceLock::new();

/// From now on everything is redacted.
pub fn redact() {
    REDACTOR.get_or_init(Mutex::default);
}

/// A name that is to be redacted, if anything is.
pub fn learn(kind: Kind, name: &str) {
    with_redactor(|redactor| redactor.learn(kind, name));
}

/// Writes a report for people.
///
/// # Errors
/// Standard output did not take it.
pub fn text(report: impl fmt::Display) -> Result<(), Unwritten> {
    let report = report.to_string();
    causeway_cli::answer(with_redactor(|redactor| redactor.text(&report)).unwrap_or(report))
}

/// Writes a report for programs.
///
/// # Errors
/// It cannot be written as JSON, or standard output did not take it.
pub fn json(report: &impl Serialize) -> anyhow::Result<()> {
    let mut value = serde_json::to_value(report)?;
    if with_redactor(|redactor| redactor.json(&mut value)).is_some() {
        causeway_cli::answer_line(serde_json::to_string_pretty(&value)?)?;
    } else {
        // As declared: a value has its keys in the order of the alphabet.
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
    // A placeholder is given out at once.
    Some(with(&mut REDACTOR.get()?.lock().unwrap_or_else(PoisonError::into_inner)))
}
