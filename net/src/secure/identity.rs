//! A certificate chain with its key, in the form of both libraries.

use std::fmt;
use std::sync::Arc;

use causeway_certificates::{Fault, ServerCertificate};
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use rustls::sign::CertifiedKey;

use super::dtls;

/// A certificate chain and the key of its leaf, checked for both libraries: rustls for TLS, OpenSSL
/// for DTLS.
pub struct Identity {
    certificate: ServerCertificate,
    chain: Vec<X509>,
    key: PKey<Private>,
}

impl Identity {
    /// Reads a chain (PEM, the server's own certificate first, then its issuers) and the key (PEM)
    /// of its first certificate.
    ///
    /// # Errors
    /// [`Fault`]: the file, what is wrong and what to do, without any part of the key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Fault> {
        let certificate = ServerCertificate::from_pem(chain, key)?;
        let cure = "have a certificate on P-256 issued";
        let refused = |error: ErrorStack| {
            Fault::chain(format!("OpenSSL, which does DTLS here, does not take it: {error}"), cure)
        };
        let chain: Vec<X509> = certificate
            .chain()
            .iter()
            .map(|der| X509::from_der(der))
            .collect::<Result<_, _>>()
            .map_err(refused)?;
        let key = PKey::private_key_from_der(certificate.key().secret_der()).map_err(refused)?;
        dtls::check_chain(&chain, &key).map_err(refused)?;
        Ok(Self { certificate, chain, key })
    }

    /// The certificate chain with its key.
    pub fn certificate(&self) -> &ServerCertificate {
        &self.certificate
    }

    /// The names and addresses that the certificate is for, in its own spelling (a name may begin
    /// with `*.`).
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.certificate.names().iter()
    }

    /// Whether the certificate is for `name`: a host name in any case, or an address as text. A
    /// `*.` stands for one label.
    pub fn is_for(&self, name: &str) -> bool {
        self.certificate.names().contain(name)
    }

    /// The chain and key, in the form of rustls.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        self.certificate.certified()
    }

    /// The leaf, then its issuers, in the form of OpenSSL.
    pub(crate) fn chain(&self) -> &[X509] {
        &self.chain
    }

    /// The leaf's key, in the form of OpenSSL.
    pub(crate) fn key(&self) -> &PKey<Private> {
        &self.key
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.certificate)
    }
}

#[cfg(test)]
impl Identity {
    /// A self-signed one, for tests.
    pub(crate) fn self_signed() -> Self {
        use openssl::asn1::Asn1Time;
        use openssl::ec::{EcGroup, EcKey};
        use openssl::hash::MessageDigest;
        use openssl::nid::Nid;
        let key =
            EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap();
        let key = PKey::from_ec_key(key).unwrap();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self::from_pem(&builder.build().to_pem().unwrap(), &key.private_key_to_pem_pkcs8().unwrap())
            .unwrap()
    }
}
