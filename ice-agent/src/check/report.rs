//! The result of a check, as a table and as JSON.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use causeway_client::{Algorithm, Security};
use causeway_wire::Transport;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;

use super::quality::Quality;
use super::secure::SecureReport;
use super::step::Step;
use crate::probe::ProbeError;

/// How the check went; see the [module](super) for the JSON form.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The URI with every part written out.
    pub uri: String,
    /// Whether every step went well.
    pub ok: bool,
    /// The server's address that was checked.
    pub server: Option<SocketAddr>,
    /// How it was reached.
    pub transport: Option<Transport>,
    /// The handshake of TLS or DTLS.
    pub secure: Option<SecureReport>,
    /// How the requests were authenticated.
    pub credentials: Option<CredentialReport>,
    /// This host as the server sees it.
    pub mapped: Option<SocketAddr>,
    /// The first allocation's relayed address.
    pub relayed: Option<SocketAddr>,
    /// The allocation's lifetime in seconds.
    pub lifetime_s: Option<u64>,
    /// The relayed loop.
    pub relay: Option<Quality>,
    /// Which families of relayed addresses are to be had.
    pub families: Option<FamiliesReport>,
    /// What is well now and will not be before long; sentences for people.
    pub warnings: Vec<String>,
    /// What may be the cause of a failure; sentences for people.
    pub notes: Vec<String>,
    /// The steps in their order; after one that failed there is only the deletion of what was
    /// allocated.
    pub steps: Vec<Step>,
}

impl Report {
    pub(super) fn new(uri: String) -> Self {
        Self {
            uri,
            ok: true,
            server: None,
            secure: None,
            credentials: None,
            transport: None,
            mapped: None,
            relayed: None,
            lifetime_s: None,
            relay: None,
            families: None,
            warnings: Vec::new(),
            notes: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Where an attempt begins that may come to nothing.
    pub(super) fn mark(&self) -> usize {
        self.steps.len()
    }

    /// Takes back what an attempt at another address has left.
    pub(super) fn rewind(&mut self, mark: usize) {
        self.steps.truncate(mark);
        self.ok = true;
        self.secure = None;
        self.warnings.clear();
    }

    /// Notes a step that began at `start`; what it yielded if it went well, with `detail` said of
    /// it.
    pub(super) fn step<T>(
        &mut self,
        name: &'static str,
        start: Instant,
        result: Result<T, ProbeError>,
        detail: impl FnOnce(&T) -> String,
    ) -> Result<T, ProbeError> {
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

/// The relayed addresses that the server offered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FamiliesReport {
    /// The relayed address when IPv4 was requested.
    pub ipv4: Option<SocketAddr>,
    /// The relayed address when IPv6 was requested.
    pub ipv6: Option<SocketAddr>,
    /// The relayed addresses when both were requested at once: one or two.
    pub both: Vec<SocketAddr>,
}

/// How requests were authenticated (RFC 8489 §9.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CredentialReport {
    /// `SHA-256` or `MD5`.
    pub key: &'static str,
    /// `MESSAGE-INTEGRITY-SHA256` or `MESSAGE-INTEGRITY`.
    pub integrity: &'static str,
    /// `USERHASH` or `USERNAME`.
    pub user: &'static str,
}

impl CredentialReport {
    pub(super) fn of(security: Security) -> Self {
        Self {
            key: if security.algorithm == Algorithm::Sha256 { "SHA-256" } else { "MD5" },
            integrity: if security.sha256_integrity {
                "MESSAGE-INTEGRITY-SHA256"
            } else {
                "MESSAGE-INTEGRITY"
            },
            user: if security.userhash { "USERHASH" } else { "USERNAME" },
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.server, self.transport) {
            (Some(server), Some(transport)) => {
                writeln!(f, "{} at {server} over {transport}", self.uri)?;
            }
            _ => writeln!(f, "{}", self.uri)?,
        }
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(["step", "", "ms", "result"]);
        for step in &self.steps {
            let verdict = if step.ok { "ok" } else { "FAILED" };
            table.add_row([
                step.name.to_owned(),
                verdict.to_owned(),
                format!("{:.1}", step.ms),
                step.detail.clone(),
            ]);
        }
        writeln!(f, "{table}")?;
        if let Some(secure) = &self.secure {
            writeln!(f, "{secure}")?;
        }
        if let Some(CredentialReport { key, integrity, user }) = &self.credentials {
            writeln!(
                f,
                "Authenticated by {integrity} with a key of {key}; the user is told by {user}."
            )?;
        }
        if let Some(quality) = &self.relay {
            writeln!(f, "{quality}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "WARNING: {warning}")?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        writeln!(
            f,
            "{}",
            if self.ok { "The server works." } else { "The server does not work as it should." }
        )
    }
}

impl fmt::Display for SecureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header([
            "certificate",
            "for",
            "issued by",
            "expires",
            "key",
        ]);
        for certificate in &self.chain {
            let expires = format!("{} ({} days)", certificate.not_after, certificate.days_left);
            table.add_row([
                &certificate.subject,
                &certificate.names.join("\n"),
                &certificate.issuer,
                &expires,
                &certificate.key,
            ]);
        }
        write!(f, "{table}")
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |value: Option<f64>| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2} ms"))
        };
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header([
            "relayed",
            "returned",
            "loss",
            "reordered",
            "duplicated",
            "RTT p50",
            "RTT p99",
            "jitter",
        ]);
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
