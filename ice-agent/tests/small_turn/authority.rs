//! Certificates for tests: a root, an intermediate authority, and servers.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;

/// A root and an intermediate authority that issues certificates.
pub(crate) struct Authority {
    root: String,
    between: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificates, its own first, and its key.
pub(crate) struct ServerCertificate {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

impl ServerCertificate {
    /// Writes the chain and the key to two files.
    #[allow(dead_code, reason = "only the rendezvous reads its certificate from files")]
    pub(crate) fn files(&self) -> [PemFile; 2] {
        let block = |der: &CertificateDer<'_>| {
            let text = STANDARD.encode(der);
            let lines: Vec<&str> =
                text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
            format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                lines.join("\n")
            )
        };
        let chain: String = self.chain.iter().map(block).collect();
        [PemFile::write("chain", &chain), PemFile::write("key", &self.key.serialize_pem())]
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let root_key = KeyPair::generate().unwrap();
        let root = authority("Test Root").self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(authority("Test Root"), root_key);
        let key = KeyPair::generate().unwrap();
        let between = authority("Test Between").signed_by(&key, &root_issuer).unwrap();
        Self {
            root: root.pem(),
            between: between.der().clone(),
            issuer: Issuer::new(authority("Test Between"), key),
        }
    }

    /// Issues a certificate for `turn.test` and the loopback addresses, valid for `days` from now.
    pub(crate) fn server(&self, days: i64) -> ServerCertificate {
        let names = ["turn.test", "localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "turn.test");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let now = std::time::SystemTime::now();
        params.not_before = (now - std::time::Duration::from_secs(100 * 86_400)).into();
        let day = std::time::Duration::from_secs(86_400);
        // One more hour, so that the number of whole days does not change during the test.
        let hour = std::time::Duration::from_secs(3600);
        params.not_after = if days < 0 {
            (now - day * days.unsigned_abs() as u32).into()
        } else {
            (now + day * days as u32 + hour).into()
        };
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        ServerCertificate { chain: vec![own.der().clone(), self.between.clone()], key }
    }

    /// Writes the root to a file, for `--ca`.
    pub(crate) fn file(&self) -> PemFile {
        PemFile::write("ca", &self.root)
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// A file that is removed when this is dropped.
pub(crate) struct PemFile(PathBuf);

impl PemFile {
    fn write(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!(
            "ice-agent-{name}-{}-{:08x}.pem",
            std::process::id(),
            rand::random::<u32>()
        ));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for PemFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
