//! The certificate that the rendezvous shows, read again when its files change.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use anyhow::{Context, bail};
use causeway_cli::complain;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(60);
const CERTIFICATE_MARKER: &str = "-----BEGIN CERTIFICATE-----";

/// The files, and what was made of them last.
pub(super) struct ServerTls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Loaded>,
}

struct Loaded {
    acceptor: TlsAcceptor,
    /// The files' contents.
    from: (Vec<u8>, Zeroizing<Vec<u8>>),
}

impl ServerTls {
    /// Reads both files, and from now on every minute.
    ///
    /// # Errors
    /// A file cannot be read, or they are no certificate and its key.
    pub(super) fn start(certificate: PathBuf, key: PathBuf) -> anyhow::Result<Arc<Self>> {
        let current = RwLock::new(load(&certificate, &key)?);
        let tls = Arc::new(Self { certificate, key, current });
        tokio::spawn(follow(Arc::downgrade(&tls)));
        Ok(tls)
    }

    /// For the next handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).acceptor.clone()
    }

    /// Reads the files again; whether there was something new in them.
    fn reload(&self) -> anyhow::Result<bool> {
        let loaded = load(&self.certificate, &self.key)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = current.from != loaded.from;
        if is_new {
            *current = loaded;
        }
        Ok(is_new)
    }
}

async fn follow(tls: Weak<ServerTls>) {
    let mut last_error = String::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(tls) = tls.upgrade() else { return };
        match tls.reload() {
            Ok(is_new) => {
                last_error.clear();
                if is_new {
                    complain(format_args!("rendezvous: the certificate was replaced"));
                }
            }
            Err(error) => {
                let error = format!("{error:#}");
                if error != last_error {
                    complain(format_args!("rendezvous: the former certificate stays in use: {error}"));
                    last_error = error;
                }
            }
        }
    }
}

fn load(certificate: &PathBuf, key: &PathBuf) -> anyhow::Result<Loaded> {
    let chain_pem = fs::read(certificate).with_context(|| format!("certificate {}", certificate.display()))?;
    let key_pem = Zeroizing::new(fs::read(key).with_context(|| format!("key {}", key.display()))?);
    let chain = CertificateDer::pem_slice_iter(&chain_pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.with_context(|| format!("certificate {}", certificate.display()))?;
    // Two blocks on one line are read as one, or as none.
    let markers = String::from_utf8_lossy(&chain_pem).matches(CERTIFICATE_MARKER).count();
    if chain.is_empty() || chain.len() != markers {
        let there = chain.len();
        bail!(
            "{}: {markers} certificates begin in it, and {there} can be read; each must begin on a line of its own",
            certificate.display()
        );
    }
    let private = PrivateKeyDer::from_pem_slice(&key_pem).with_context(|| format!("key {}", key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("{} and {} do not belong together", certificate.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { acceptor: TlsAcceptor::from(Arc::new(config)), from: (chain_pem, key_pem) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    struct Files(PathBuf);

    impl Files {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("ice-agent-tls-{}-{:08x}", std::process::id(), rand::random::<u32>()));
            fs::create_dir(&folder).unwrap();
            Self(folder)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["meet.test".into()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[tokio::test]
    async fn a_new_certificate_is_taken_and_a_bad_one_is_not() {
        let files = Files::new();
        let (certificate, key) = pair();
        let paths = (files.write("cert.pem", &certificate), files.write("key.pem", &key));
        let tls = ServerTls::start(paths.0, paths.1).unwrap();
        assert!(!tls.reload().unwrap());
        let (other, other_key) = pair();
        files.write("cert.pem", &other);
        let error = format!("{:#}", tls.reload().unwrap_err());
        assert!(error.contains("do not belong together"), "{error}");
        files.write("key.pem", &other_key);
        assert!(tls.reload().unwrap());
    }

    #[test]
    fn h56_a_certificate_that_would_be_dropped_is_an_error() {
        let files = Files::new();
        let ((first, key), (second, _)) = (pair(), pair());
        let key = files.write("key.pem", &key);
        let glued = files.write("glued.pem", &format!("{}{second}", first.trim_end()));
        for (bad, reason) in
            [(glued, "can be read"), (files.write("empty.pem", ""), "0 certificates"), (files.0.join("none.pem"), "none.pem")]
        {
            let error = format!("{:#}", load(&bad, &key).err().unwrap());
            assert!(error.contains(reason), "{error}");
        }
    }
}
