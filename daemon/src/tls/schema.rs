//! The keys of `[tls]`, and the certificates that they name.

use std::path::PathBuf;
use std::sync::Arc;

use causeway_certificates::unix_now;
use causeway_net::secure::Identity;
use serde::Deserialize;

use super::Certificate;
use super::certificate::Files;
use crate::config::{Listen, Problem};

/// The keys of `[tls]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSchema {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    further: Vec<PairSchema>,
}

/// The keys of `[[tls.further]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PairSchema {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// The certificates of a service: the first one for clients that name no server, or an unknown one
/// (SNI); the others for clients that name them.
#[derive(Clone, Debug)]
pub struct Tls {
    pub(super) certificates: Vec<Certificate>,
}

impl TlsSchema {
    /// Whether the keys name a certificate.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.certificate.is_some() || self.key.is_some() || !self.further.is_empty()
    }

    /// Reads the files; `None` if no key names one.
    ///
    /// # Errors
    /// A file cannot be read, has no certificate or no key, or the key does not belong to the
    /// certificate.
    pub fn resolve(self) -> Result<Option<Tls>, Vec<Problem>> {
        if !self.is_named() {
            return Ok(None);
        }
        let first = PairSchema { certificate: self.certificate, key: self.key };
        let sections = std::iter::once("tls".to_owned())
            .chain((0..).map(|index| format!("tls.further[{index}]")));
        let mut problems = Vec::new();
        let mut certificates = Vec::new();
        for (section, pair) in sections.zip(std::iter::once(first).chain(self.further)) {
            match pair.files(&section).and_then(|files| Certificate::read(&files)) {
                Ok(certificate) => certificates.push(certificate),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Some(Tls { certificates })) } else { Err(problems) }
    }
}

impl PairSchema {
    fn files(self, section: &str) -> Result<Files, Problem> {
        let missing = |key: &str, what: &str| Problem::new(format!("{section}.{key}"), what);
        match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => {
                Ok(Files { section: section.to_owned(), certificate, key })
            }
            (None, _) => Err(missing("certificate", "a key without its certificate")
                .hint("name the PEM file of the chain, the server's own certificate first")),
            (_, None) => Err(missing("key", "a certificate without its key")
                .hint("name the PEM file of the private key")),
        }
    }
}

impl Tls {
    /// The chains and keys for handshakes, the default one first.
    #[must_use]
    pub fn identities(&self) -> Vec<Arc<Identity>> {
        self.certificates.iter().map(|certificate| Arc::clone(certificate.identity())).collect()
    }

    /// A line for each certificate and for each warning, for `--check-config` of a service with
    /// these listeners.
    #[must_use]
    pub fn describe(&self, listen: &[Listen]) -> Vec<String> {
        let now = unix_now();
        let lines = self.certificates.iter().flat_map(|certificate| certificate.describe(now));
        lines.chain(self.unused(listen).map(|warning| format!("warning: {warning}"))).collect()
    }

    /// Logs a warning if no listener uses the certificates, and returns whether it did.
    pub fn warn_if_unused(&self, listen: &[Listen]) -> bool {
        let unused = self.unused(listen);
        if let Some(warning) = unused {
            tracing::warn!("{warning}");
        }
        unused.is_some()
    }

    fn unused(&self, listen: &[Listen]) -> Option<&'static str> {
        let shown = listen
            .iter()
            .flat_map(|listen| &listen.transports)
            .any(|transport| transport.is_secure());
        (!shown).then_some(
            "tls.certificate is not used: no listener has tls or dtls among its transports",
        )
    }
}
