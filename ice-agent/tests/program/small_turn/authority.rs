//! Certificates for tests: a root, an intermediate authority, and servers.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use causeway_kit::Scratch;
use causeway_kit::certificates::{self, Key};
use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;

const DAY: Duration = Duration::from_secs(86_400);

/// A root and an intermediate authority that issues certificates.
pub(crate) struct Authority(certificates::Authority);

/// A server's certificates, its own first, and its key.
pub(crate) struct ServerCertificate {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
    made: certificates::ServerCertificate,
}

impl ServerCertificate {
    /// Writes the chain and the key to two files.
    pub(crate) fn files(&self) -> [PemFile; 2] {
        [
            PemFile::write("chain.pem", &self.made.chain_pem()),
            PemFile::write("key.pem", &self.made.key_pem()),
        ]
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self(certificates::Authority::new())
    }

    /// Issues a certificate for `turn.test` and the loopback addresses, valid for `days` from now.
    pub(crate) fn server(&self, days: i64) -> ServerCertificate {
        let names = ["turn.test", "localhost", "127.0.0.1", "::1"];
        let now = SystemTime::now();
        let distance = DAY * u32::try_from(days.unsigned_abs()).unwrap();
        // One more hour, so that the number of whole days does not change during the test.
        let hour = Duration::from_secs(3600);
        let until = if days < 0 { now - distance } else { now + distance + hour };
        let made = self.0.server_with(&names, Key::ecdsa(), [now - DAY * 100, until]);
        ServerCertificate {
            chain: made.chain.iter().map(|one| one.der.clone().into()).collect(),
            key: KeyPair::from_pem(&made.key_pem()).unwrap(),
            made,
        }
    }

    /// The root as PEM.
    pub(crate) fn root(&self) -> &str {
        self.0.root()
    }

    /// Writes the root to a file, for `--ca`.
    pub(crate) fn file(&self) -> PemFile {
        PemFile::write("ca.pem", self.0.root())
    }
}

/// A file that is removed when it is dropped.
pub(crate) struct PemFile {
    path: PathBuf,
    _scratch: Scratch,
}

impl PemFile {
    fn write(name: &str, text: &str) -> Self {
        let scratch = Scratch::new();
        Self { path: scratch.write(name, text), _scratch: scratch }
    }

    pub(crate) fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }
}
