//! The certificate of the rendezvous, which is read again when its files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use anyhow::anyhow;
use causeway_certificates::{Bytes, Expiry, Part, ServerCertificate, Standing, read, unix_now};
use causeway_cli::complain;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::sign::SingleCertAndKey;
use tokio_rustls::TlsAcceptor;

/// How often the files are checked.
const INTERVAL: Duration = Duration::from_secs(60);

/// The paths of certificate and key, and what was last loaded from them.
pub(super) struct ServerTls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Loaded>,
}

struct Loaded {
    acceptor: TlsAcceptor,
    certificate: ServerCertificate,
    /// The contents of both files.
    from: (Bytes, Bytes),
}

impl ServerTls {
    /// Loads both files, and starts to check them every minute.
    ///
    /// # Errors
    /// A file cannot be read, or they are not a certificate and its key.
    pub(super) fn start(certificate: PathBuf, key: PathBuf) -> anyhow::Result<Arc<Self>> {
        let current = RwLock::new(load(&certificate, &key)?);
        let tls = Arc::new(Self { certificate, key, current });
        let mut expiry = Expiry::default();
        tls.print();
        tls.warn_of_expiry(&mut expiry);
        tokio::spawn(follow(Arc::downgrade(&tls), expiry));
        Ok(tls)
    }

    /// The acceptor for the next handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).acceptor.clone()
    }

    /// Prints the certificate, and notes about unused parts of its files.
    fn print(&self) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let path = self.certificate.display();
        complain(format_args!("rendezvous: {path}: {}", current.certificate));
        for note in current.certificate.notes() {
            complain(format_args!("rendezvous: {path}: {note}"));
        }
    }

    /// Warns of a certificate that clients refuse, or soon will refuse.
    fn warn_of_expiry(&self, expiry: &mut Expiry) {
        if let Some(standing) = self.standing(expiry, unix_now()) {
            complain(format_args!("rendezvous: {}: {standing}", self.certificate.display()));
        }
    }

    /// The warning that is due at `now`, in Unix seconds.
    fn standing(&self, expiry: &mut Expiry, now: i64) -> Option<Standing> {
        expiry.due(
            self.current.read().unwrap_or_else(PoisonError::into_inner).certificate.validity(),
            now,
        )
    }

    /// Loads the files again, and returns whether they have changed.
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

async fn follow(tls: Weak<ServerTls>, mut expiry: Expiry) {
    let mut last_error = String::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(tls) = tls.upgrade() else { return };
        match tls.reload() {
            Ok(is_new) => {
                last_error.clear();
                if is_new {
                    complain(format_args!("rendezvous: the certificate was replaced"));
                    tls.print();
                    expiry.forget();
                }
            }
            Err(error) => {
                let error = format!("{error:#}");
                if error != last_error {
                    complain(format_args!(
                        "rendezvous: the previous certificate stays in use: {error}"
                    ));
                    last_error = error;
                }
            }
        }
        tls.warn_of_expiry(&mut expiry);
    }
}

fn load(certificate: &Path, key: &Path) -> anyhow::Result<Loaded> {
    let contents = |path| read(path).map_err(|error| anyhow!(error));
    let from = (contents(certificate)?, contents(key)?);
    let identity = ServerCertificate::from_pem(&from.0, &from.1).map_err(|fault| {
        let path = if fault.part == Part::Chain { certificate } else { key };
        anyhow!(fault.of_file(path))
    })?;
    let shown = SingleCertAndKey::from(Arc::clone(identity.certified()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { acceptor: TlsAcceptor::from(Arc::new(config)), certificate: identity, from })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    use causeway_kit::Scratch;
    use causeway_kit::certificates::{Authority, Key};

    fn pair() -> (String, String) {
        // Long enough that its last fifth is more than two weeks.
        let (now, days) = (SystemTime::now(), Duration::from_secs(100 * 86_400));
        let made = Authority::new().server_with(&["meet.test"], Key::ecdsa(), [now, now + days]);
        (made.chain_pem(), made.key_pem())
    }

    #[tokio::test]
    async fn a_new_certificate_is_taken_and_a_bad_one_is_not() {
        let files = Scratch::new();
        let (certificate, key) = pair();
        let paths = (files.write("cert.pem", &certificate), files.write("key.pem", key));
        let tls = ServerTls::start(paths.0, paths.1).unwrap();
        assert!(!tls.reload().unwrap());
        let (other, other_key) = pair();
        files.write("cert.pem", &other);
        let error = format!("{:#}", tls.reload().unwrap_err());
        assert!(error.contains("does not belong to the first certificate"), "{error}");
        files.write("key.pem", &other_key);
        assert!(tls.reload().unwrap());
    }

    #[tokio::test]
    async fn h56_a_certificate_that_ends_is_told_of_once_a_day() {
        const DAY: i64 = 86_400;
        let files = Scratch::new();
        let (certificate, key) = pair();
        let tls =
            ServerTls::start(files.write("cert.pem", &certificate), files.write("key.pem", key))
                .unwrap();
        let end = tls.current.read().unwrap().certificate.validity().not_after;
        let mut expiry = Expiry::default();
        let told: Vec<_> = (0..48)
            .filter_map(|hour| tls.standing(&mut expiry, end - DAY + hour * 3_600))
            .collect();
        assert_eq!(
            told,
            [Standing::EndsSoon, Standing::EndsSoon, Standing::Expired],
            "once a day, and when it changes"
        );
    }

    #[test]
    fn h56_a_certificate_that_would_be_dropped_is_an_error() {
        let files = Scratch::new();
        let ((first, key), (second, _)) = (pair(), pair());
        let key = files.write("key.pem", key);
        let glued = files.write("glued.pem", format!("{}{second}", first.trim_end()));
        for (bad, reason) in [
            (glued, "two markers on one line"),
            (files.write("empty.pem", ""), "the file is empty"),
            (files.path("none.pem"), "none.pem"),
        ] {
            let error = format!("{:#}", load(&bad, &key).err().unwrap());
            assert!(error.contains(reason), "{error}");
        }
    }
}
