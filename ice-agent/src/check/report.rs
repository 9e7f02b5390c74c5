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

/// The result of a check; docs/ice-agent.md has the JSON form.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub uri: String,
    /// Whether every step succeeded.
    pub ok: bool,
    /// The address of the server that was checked.
    pub server: Option<SocketAddr>,
    /// The transport to the server.
    pub transport: Option<Transport>,
    /// The TLS or DTLS handshake.
    pub secure: Option<SecureReport>,
    /// How requests were authenticated.
    pub credentials: Option<CredentialReport>,
    /// This host's address as the server sees it.
    pub mapped: Option<SocketAddr>,
    /// The first allocation's relayed address.
    pub relayed: Option<SocketAddr>,
    /// The allocation's lifetime in seconds.
    pub lifetime_s: Option<u64>,
    /// The figures of the relayed loop.
    pub relay: Option<Quality>,
    /// The relayed addresses of each family that the server offers.
    pub families: Option<FamiliesReport>,
    /// Warnings about things that work now but will soon fail, in sentences.
    pub warnings: Vec<String>,
    /// Possible causes of failures, in sentences.
    pub notes: Vec<String>,
    /// The steps in order. After a failed step only the deletion of the allocations follows.
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

    /// Marks the start of an attempt that [`rewind`](Self::rewind) can remove.
    pub(super) fn mark(&self) -> usize {
        self.steps.len()
    }

    /// Removes the steps and warnings of an attempt at another address.
    pub(super) fn rewind(&mut self, mark: usize) {
        self.steps.truncate(mark);
        self.ok = true;
        self.secure = None;
        self.warnings.clear();
    }

    /// Adds a step that began at `start`, with `detail` if it succeeded, and returns its result.
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
                "Authenticated by {integrity} with a key of {key}; the user name is sent as {user}."
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
            if self.ok { "The server works." } else { "The server does not work correctly." }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::CertificateReport;
    use crate::documented::assert_documented;

    #[test]
    fn the_documentation_has_every_key() {
        let mut report = Report::new("turns:example.org".into());
        report.secure = Some(SecureReport {
            version: None,
            cipher: None,
            alpn: None,
            name: String::new(),
            verified: false,
            why_not: Some(String::new()),
            chain: vec![CertificateReport {
                subject: String::new(),
                issuer: String::new(),
                names: Vec::new(),
                not_before: String::new(),
                not_after: String::new(),
                days_left: 0,
                key: String::new(),
            }],
        });
        report.credentials =
            Some(CredentialReport { key: "MD5", integrity: "MESSAGE-INTEGRITY", user: "USERNAME" });
        report.relay = Some(crate::check::quality::Measurement::default().quality());
        report.families = Some(FamiliesReport::default());
        report.steps.push(Step::failed("Allocate", Duration::ZERO, &ProbeError::Lost));
        let refusal = Step { code: Some(401), ..report.steps[0].clone() };
        report.steps.push(refusal);
        assert_documented("check", &report);
    }
}
