//! Which certificates of servers are trusted.

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
    /// Trust the authorities in this PEM file too, in addition to those that this host trusts; may
    /// be repeated.
    #[arg(long, value_name = "FILE")]
    pub ca: Vec<PathBuf>,
    /// Name that the server's certificate must have, and that SNI sends, instead of the URI's host.
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Accept any certificate over TLS and DTLS, WITHOUT verification: any host on the path can
    /// pretend to be the server.
    #[arg(long)]
    pub insecure_no_verify: bool,
}

impl TrustArgs {
    /// Reads the `--ca` files. The authorities of this host are read when the first server presents
    /// a certificate.
    ///
    /// # Errors
    /// A file cannot be read, or contains something other than certificates of authorities.
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
            must_verify: !self.insecure_no_verify,
            ..Trust::default()
        })
    }
}

/// Which certificates of servers this run trusts.
#[derive(Debug, Clone)]
pub struct Trust {
    own: Vec<CertificateDer<'static>>,
    server_name: Option<String>,
    must_verify: bool,
    provider: Arc<CryptoProvider>,
    verifier: Arc<OnceLock<Option<Arc<WebPkiServerVerifier>>>>,
}

/// The authorities of this host, with verification.
impl Default for Trust {
    fn default() -> Self {
        Self {
            own: Vec::new(),
            server_name: None,
            must_verify: true,
            provider: Arc::new(default_provider()),
            verifier: Arc::default(),
        }
    }
}

impl Trust {
    /// Whether the server's certificate must be verified.
    #[must_use]
    pub fn must_verify(&self) -> bool {
        self.must_verify
    }

    pub(super) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// The name that the certificate must have instead of the URI's host (`--server-name`).
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Reads the authorities of this host now. That takes a while, and the first handshake would
    /// otherwise wait for it.
    pub fn prepare(&self) {
        self.verifier.get_or_init(|| self.build_verifier());
    }

    /// A verifier for a handshake with the server that has this name.
    pub(super) fn verifier_for(&self, name: &str) -> Arc<CertificateVerifier> {
        let verifier = self.verifier.get_or_init(|| self.build_verifier()).clone();
        Arc::new(CertificateVerifier::new(name, verifier, self.provider.clone(), self.must_verify))
    }

    /// `None` if this host trusts no authority at all.
    fn build_verifier(&self) -> Option<Arc<WebPkiServerVerifier>> {
        let mut roots = RootCertStore::empty();
        // Authorities that cannot be read count as absent.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(self.own.iter().cloned());
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .ok()
    }
}
