use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;

use super::measure::Quality;
use super::step::{Step, StepError};

/// How the check went; see the [module](super) for the JSON form.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The URI with every part written out.
    pub uri: String,
    /// Whether every step went well.
    pub ok: bool,
    /// The server's address that was checked.
    pub server: Option<SocketAddr>,
    /// This host as the server sees it.
    pub mapped: Option<SocketAddr>,
    /// The first allocation's relayed address.
    pub relayed: Option<SocketAddr>,
    /// The allocation's lifetime in seconds.
    pub lifetime_s: Option<u64>,
    /// The relayed loop.
    pub relay: Option<Quality>,
    /// What may be the cause of a failure; sentences for people.
    pub notes: Vec<String>,
    /// The steps in their order; after one that failed there is only the deletion of what was allocated.
    pub steps: Vec<Step>,
}

impl Report {
    pub(super) fn new(uri: String) -> Self {
        Self {
            uri,
            ok: true,
            server: None,
            mapped: None,
            relayed: None,
            lifetime_s: None,
            relay: None,
            notes: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Notes a step that began at `start`; what it yielded if it went well, with `detail` said of it.
    pub(super) fn step<T>(
        &mut self,
        name: &'static str,
        start: Instant,
        result: Result<T, StepError>,
        detail: impl FnOnce(&T) -> String,
    ) -> Result<T, StepError> {
        let took: Duration = start.elapsed();
        self.steps.push(match &result {
            Ok(yielded) => Step::passed(name, took, detail(yielded)),
            Err(error) => {
                self.ok = false;
                Step::failed(name, took, error)
            }
        });
        result
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.server {
            Some(server) => writeln!(f, "{} at {server}", self.uri)?,
            None => writeln!(f, "{}", self.uri)?,
        }
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(["step", "", "ms", "result"]);
        for step in &self.steps {
            let verdict = if step.ok { "ok" } else { "FAILED" };
            table.add_row([step.name.to_owned(), verdict.to_owned(), format!("{:.1}", step.ms), step.detail.clone()]);
        }
        writeln!(f, "{table}")?;
        if let Some(quality) = &self.relay {
            writeln!(f, "{quality}")?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        writeln!(f, "{}", if self.ok { "The server works." } else { "The server does not work as it should." })
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2} ms"));
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["relayed", "returned", "loss", "reordered", "duplicated", "RTT p50", "RTT p99", "jitter"]);
        table.add_row([
            self.sent.to_string(),
            self.received.to_string(),
            format!("{:.1} %", self.loss_percent),
            self.reordered.to_string(),
            self.duplicated.to_string(),
            ms(self.rtt_p50_ms),
            ms(self.rtt_p99_ms),
            ms(self.jitter_ms),
        ]);
        write!(f, "{table}")
    }
}
