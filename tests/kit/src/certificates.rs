//! Certificates as an operator has them: a root that clients trust, intermediate authorities below
//! it, and a server's own.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::scratch::Scratch;

const DAY: Duration = Duration::from_secs(86_400);

/// A private key for a certificate.
pub struct Key(KeyPair);

impl Key {
    /// Makes a new key on P-256.
    #[must_use]
    pub fn ecdsa() -> Self {
        Self(KeyPair::generate().expect("the crypto library makes keys on P-256"))
    }

    /// A key from PEM (PKCS #8), for the kinds that the crypto library here does not generate: RSA.
    ///
    /// # Panics
    /// It is not a key.
    #[must_use]
    pub fn from_pem(pem: &str) -> Self {
        Self(KeyPair::from_pem(pem).expect("a private key in PEM"))
    }
}

/// A root and the authorities below it, the last of which issues server certificates.
pub struct Authority {
    root: String,
    /// The authority nearest to the servers comes first.
    intermediates: Vec<Certificate>,
    issuer: Issuer<'static, KeyPair>,
}

/// One certificate, in both encodings.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate as PEM.
    pub pem: String,
    /// The certificate as DER.
    pub der: Vec<u8>,
}

/// A server's certificate, with those of the intermediate authorities behind it, and its key.
pub struct ServerCertificate {
    /// The server's own first; without the root.
    pub chain: Vec<Certificate>,
    key: KeyPair,
}

/// The files of a server's certificate.
#[derive(Clone, Debug)]
pub struct Files {
    /// The chain, without the root.
    pub chain: PathBuf,
    /// The private key of the server's own certificate.
    pub key: PathBuf,
}

impl Authority {
    /// A root and one intermediate authority, with keys on P-256.
    #[must_use]
    pub fn new() -> Self {
        Self::with_keys([Key::ecdsa(), Key::ecdsa()])
    }

    /// A root with the first key, and an intermediate authority for each further one.
    ///
    /// # Panics
    /// The list of keys is empty.
    #[must_use]
    pub fn with_keys(keys: impl IntoIterator<Item = Key>) -> Self {
        let mut keys = keys.into_iter().map(|Key(key)| key);
        let root_key = keys.next().expect("a root needs a key");
        let params = authority("Causeway Test Root");
        let root = params.self_signed(&root_key).expect("the parameters are valid").pem();
        let mut this =
            Self { root, intermediates: Vec::new(), issuer: Issuer::new(params, root_key) };
        for (number, key) in (1..).zip(keys) {
            let params = authority(&format!("Causeway Test Intermediate {number}"));
            let signed = params.signed_by(&key, &this.issuer).expect("the parameters are valid");
            this.intermediates.insert(0, Certificate::of(&signed));
            this.issuer = Issuer::new(params, key);
        }
        this
    }

    /// The root, as PEM, for clients.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// A certificate for these host names and addresses, with a new key on P-256, valid for two
    /// days.
    #[must_use]
    pub fn server(&self, names: &[&str]) -> ServerCertificate {
        let now = SystemTime::now();
        self.server_with(names, Key::ecdsa(), [now - DAY, now + 2 * DAY])
    }

    /// [`server`](Self::server) with this key, valid from the first to the second time.
    ///
    /// # Panics
    /// A name is neither a host name nor an address.
    #[must_use]
    pub fn server_with(
        &self,
        names: &[&str],
        Key(key): Key,
        [from, until]: [SystemTime; 2],
    ) -> ServerCertificate {
        let mut params = server(names);
        params.not_before = from.into();
        params.not_after = until.into();
        let own = params.signed_by(&key, &self.issuer).expect("the parameters are valid");
        let mut chain = vec![Certificate::of(&own)];
        chain.extend_from_slice(&self.intermediates);
        ServerCertificate { chain, key }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Certificate {
    fn of(certificate: &rcgen::Certificate) -> Self {
        Self { pem: certificate.pem(), der: certificate.der().to_vec() }
    }
}

impl ServerCertificate {
    /// A self-signed certificate for these names. A client must trust it directly.
    ///
    /// # Panics
    /// A name is neither a host name nor an address.
    #[must_use]
    pub fn self_signed(names: &[&str], Key(key): Key) -> Self {
        let own = server(names).self_signed(&key).expect("the parameters are valid");
        Self { chain: vec![Certificate::of(&own)], key }
    }

    /// The whole chain, as PEM.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|certificate| certificate.pem.as_str()).collect()
    }

    /// The private key, as PEM (PKCS #8).
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The private key, as DER (PKCS #8).
    #[must_use]
    pub fn key_der(&self) -> Vec<u8> {
        self.key.serialize_der()
    }

    /// Writes `chain.pem` and `key.pem` into the folder, and overwrites those of an earlier
    /// certificate.
    ///
    /// # Panics
    /// The folder cannot be written.
    pub fn write(&self, scratch: &Scratch) -> Files {
        // The key first: a reader that sees the new chain finds its key.
        let key = scratch.write("key.pem", self.key_pem());
        Files { chain: scratch.write("chain.pem", self.chain_pem()), key }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    let now = SystemTime::now();
    (params.not_before, params.not_after) = ((now - 200 * DAY).into(), (now + 200 * DAY).into());
    params
}

fn server(names: &[&str]) -> CertificateParams {
    let alternatives: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(alternatives).expect("names of hosts, or addresses");
    params.distinguished_name.push(DnType::CommonName, names[0]);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let now = SystemTime::now();
    (params.not_before, params.not_after) = ((now - DAY).into(), (now + 2 * DAY).into());
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_has_the_servers_own_first_and_no_root() {
        let authority = Authority::with_keys([Key::ecdsa(), Key::ecdsa(), Key::ecdsa()]);
        let server = authority.server(&["localhost", "127.0.0.1"]);
        assert_eq!(server.chain.len(), 3);
        assert!(!server.chain_pem().contains(authority.root()));
        let scratch = Scratch::new();
        let files = server.write(&scratch);
        assert_eq!(std::fs::read_to_string(files.chain).unwrap(), server.chain_pem());
        assert_eq!(std::fs::read_to_string(files.key).unwrap(), server.key_pem());
    }
}
