use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::anyhow;
use causeway_certificates::{authorities, read};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;

use super::certificate_verifier::CertificateVerifier;

/// The command-line options of every subcommand that may speak TLS or DTLS.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TrustArgs {
    /// Trust the authorities in this file too (PEM), besides those that this host trusts; may be
    /// given several times.
    #[arg(long, value_name = "FILE")]
    pub ca: Vec<PathBuf>,
    /// The name that the server's certificate must have, and that SNI asks for, in place of the
    /// URI's host.
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Speak TLS and DTLS with servers whose certificate is NOT verified: anybody on the path can
    /// be the server.
    #[arg(long)]
    pub insecure_no_verify: bool,
}

impl TrustArgs {
    /// Reads the files. The authorities of this host are read when a server shows the first
    /// certificate.
    ///
    /// # Errors
    /// A file cannot be read, or not every block of it is a certificate that can be trusted.
    pub fn load(&self) -> anyhow::Result<Trust> {
        let mut own = Vec::new();
        for path in &self.ca {
            let file = read(path).map_err(|error| anyhow!("--ca: {error}"))?;
            own.extend(
                authorities(&file).map_err(|fault| anyhow!("--ca {}", fault.of_file(path)))?,
            );
        }
        Ok(Trust {
            own,
            server_name: self.server_name.clone(),
            insist: !self.insecure_no_verify,
            ..Trust::default()
        })
    }
}

/// Whom this host believes to be the server.
#[derive(Debug, Clone)]
pub struct Trust {
    own: Vec<CertificateDer<'static>>,
    server_name: Option<String>,
    insist: bool,
    provider: Arc<CryptoProvider>,
    verifier: Arc<OnceLock<Option<Arc<WebPkiServerVerifier>>>>,
}

/// The authorities of this host; every certificate must be verified.
impl Default for Trust {
    fn default() -> Self {
        Self {
            own: Vec::new(),
            server_name: None,
            insist: true,
            provider: Arc::new(default_provider()),
            verifier: Arc::default(),
        }
    }
}

impl Trust {
    /// Whether only a certificate that is verified will do.
    #[must_use]
    pub fn insists(&self) -> bool {
        self.insist
    }

    /// The cryptography.
    pub(super) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// The name that the certificate of the server in question must have, in place of its own
    /// (`--server-name`).
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Reads the authorities of this host, which takes a while, so that the first handshake does
    /// not wait for it.
    pub fn prepare(&self) {
        self.verifier.get_or_init(|| self.build_verifier());
    }

    /// A verifier for a handshake with the server that has this name.
    pub(super) fn verifier_for(&self, name: &str) -> Arc<CertificateVerifier> {
        let verifier = self.verifier.get_or_init(|| self.build_verifier()).clone();
        Arc::new(CertificateVerifier::new(name, verifier, self.provider.clone(), self.insist))
    }

    /// `None` if there is no authority at all.
    fn build_verifier(&self) -> Option<Arc<WebPkiServerVerifier>> {
        let mut roots = RootCertStore::empty();
        // What this host has and cannot be read is worth no more than what it does not have.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(self.own.iter().cloned());
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .ok()
    }
}
