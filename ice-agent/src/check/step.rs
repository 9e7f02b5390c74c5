//! One step of the check, as the report shows it.

use std::time::Duration;

use serde::Serialize;

use crate::probe::ProbeError;

/// One step of the check, as the report shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The RFC's name of the method, or a few words for what is done.
    pub name: &'static str,
    /// Whether the step succeeded.
    pub ok: bool,
    /// How long the step took, in milliseconds.
    pub ms: f64,
    /// The result, in words.
    pub detail: String,
    /// The STUN error code of a step that the server refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Why the step failed: the server's reason phrase, or the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Step {
    pub(super) fn passed(name: &'static str, took: Duration, detail: impl Into<String>) -> Self {
        Self {
            name,
            ok: true,
            ms: milliseconds(took),
            detail: detail.into(),
            code: None,
            reason: None,
        }
    }

    pub(super) fn failed(name: &'static str, took: Duration, error: &ProbeError) -> Self {
        let (code, reason) = match error.stun() {
            Some((code, reason)) => (Some(code), reason),
            None => (None, error.to_string()),
        };
        Self {
            name,
            ok: false,
            ms: milliseconds(took),
            detail: error.to_string(),
            code,
            reason: Some(reason),
        }
    }
}

/// Milliseconds with three decimals: no clock here is more exact.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
