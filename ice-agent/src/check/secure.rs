//! The TLS or DTLS handshake and the server's certificates, as the report shows them.

use causeway_certificates::unix_now;
use serde::Serialize;

use super::certificate::CertificateReport;
use crate::transport::{Presented, Secured};

/// Remaining validity below which a certificate causes a warning, in days.
const EXPIRES_SOON: i64 = 14;
/// Maximum number of certificates of a chain that are shown.
const MAX_CHAIN: usize = 10;

/// How the connection is secured, and by which certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecureReport {
    /// `TLS 1.3`, `TLS 1.2` or `DTLS 1.2`; `None` if the handshake failed.
    pub version: Option<&'static str>,
    /// The cipher suite's name.
    pub cipher: Option<String>,
    /// The protocol that the server chose by ALPN (RFC 7443 §1).
    pub alpn: Option<String>,
    /// The name that the certificate must have.
    pub name: String,
    /// Whether the chain leads to a trusted authority, is for the name, and is valid now.
    pub verified: bool,
    /// Why the chain is not verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// The certificates, the server's own first.
    pub chain: Vec<CertificateReport>,
}

impl SecureReport {
    /// The report of a completed handshake.
    pub(super) fn of(secured: &Secured) -> Self {
        Self {
            version: Some(secured.version),
            cipher: Some(secured.cipher.clone()),
            alpn: secured.alpn.clone(),
            ..Self::refused(&secured.presented)
        }
    }

    /// The report of a handshake that failed because of the certificate.
    pub(super) fn refused(presented: &Presented) -> Self {
        let now = unix_now();
        Self {
            version: None,
            cipher: None,
            alpn: None,
            name: presented.name.clone(),
            verified: presented.verdict.is_ok(),
            why_not: presented.verdict.clone().err(),
            chain: presented
                .chain
                .iter()
                .take(MAX_CHAIN)
                .filter_map(|der| CertificateReport::read(der, now))
                .collect(),
        }
    }

    /// Warnings about certificates that expire soon.
    pub(super) fn warnings(&self) -> Vec<String> {
        let soon = self
            .chain
            .iter()
            .filter(|certificate| (0..EXPIRES_SOON).contains(&certificate.days_left));
        soon.map(|certificate| {
            let CertificateReport { subject, days_left, not_after, .. } = certificate;
            format!("The certificate of {subject} expires in {days_left} days, on {not_after} UTC.")
        })
        .collect()
    }

    /// Possible causes if the chain is not verified.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(reason) = &self.why_not {
            notes.push(format!("The certificate is NOT verified: {reason}."));
            if let Some(expired) = self.chain.iter().find(|certificate| certificate.days_left < 0) {
                notes.push(format!(
                    "The certificate of {} has expired on {} UTC.",
                    expired.subject, expired.not_after
                ));
            }
            if let [own] = &self.chain[..]
                && !own.is_self_issued()
            {
                notes.push(format!(
                    "The server sends only its own certificate. Clients that do not trust {} \
                     directly cannot verify it: configure the server to send the intermediate \
                     certificates too.",
                    own.issuer
                ));
            }
        }
        notes
    }
}
