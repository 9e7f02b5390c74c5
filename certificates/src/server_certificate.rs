//! A server's certificate chain with its private key.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::chain::{Chain, parse};
use crate::fault::Fault;
use crate::key::{Key, refused};
use crate::names::Names;
use crate::validity::{Validity, utc};

/// A server's certificate chain with its private key: each certificate is issued by the next, and
/// the key belongs to the first.
pub struct ServerCertificate {
    certified: Arc<CertifiedKey>,
    key: PrivateKeyDer<'static>,
    names: Names,
    validity: Validity,
    issuer: Option<String>,
    notes: Vec<String>,
}

impl ServerCertificate {
    /// Reads the files of a chain (PEM, the server's own certificate first, then its issuers) and
    /// of its key. Both may be the same file.
    ///
    /// # Errors
    /// [`Fault`]: which file, what is wrong and what to do. It contains nothing of the key.
    pub fn from_pem(chain_file: &[u8], key_file: &[u8]) -> Result<Self, Fault> {
        let (chain, key) = match (Chain::read(chain_file), Key::read(key_file)) {
            (Ok(chain), Ok(key)) => (chain, key),
            (Err(fault), Err(_))
                if Chain::read(key_file).is_ok() && Key::read(chain_file).is_ok() =>
            {
                return Err(Fault {
                    cure: "the two files are swapped: exchange their names".into(),
                    ..fault
                });
            }
            (Err(fault), _) | (_, Err(fault)) => return Err(fault),
        };
        let mut notes = chain.notes;
        if chain_file != key_file && chain.has_key {
            notes.push("the private key beside the certificates is not used".into());
        }
        if chain_file != key_file && key.has_certificate {
            notes.push("the certificates beside the private key are not used".into());
        }
        let certified = certified(chain.certificates, &key.der)?;
        let (names, validity, issuer) = (chain.names, chain.validity, chain.issuer);
        Ok(Self { certified: Arc::new(certified), key: key.der, names, validity, issuer, notes })
    }

    /// The certificate for rustls.
    #[must_use]
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// The server's own certificate, then its issuers.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The private key of the first certificate.
    #[must_use]
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// The names that the certificate is for.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The time in which every certificate of the chain is valid; an expired root does not count,
    /// since clients have their own.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Notes about parts of the files that are not used.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// The number of certificates, the names, the end, and the issuer of the last one.
impl fmt::Display for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.iter().collect::<Vec<_>>().join(", ");
        let count = self.chain().len();
        write!(f, "{count} certificate{}", if count == 1 { "" } else { "s" })?;
        write!(f, ", for {}", if names.is_empty() { "no name" } else { &names })?;
        write!(f, ", until {}", utc(self.validity.not_after))?;
        match &self.issuer {
            Some(issuer) => write!(f, ", the last one issued by {issuer}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerCertificate({self})")
    }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<CertifiedKey, Fault> {
    let signing = default_provider()
        .key_provider
        .load_private_key(key.clone_key())
        .map_err(|error| refused(&error))?;
    let own = signing.public_key();
    let belongs = |certificate: &CertificateDer<'_>| {
        parse(certificate).is_ok_and(|parsed| {
            own.as_ref().is_none_or(|own| parsed.public_key().raw == own.as_ref())
        })
    };
    if !belongs(&chain[0]) {
        let what = "the private key does not belong to the first certificate";
        return Err(match chain.iter().position(belongs) {
            Some(index) => Fault::key(
                format!("{what}, but to certificate {}", index + 1),
                "put the server's own certificate first",
            ),
            None => Fault::key(
                what,
                "name the key that the certificate was issued for, or have a certificate issued \
                 for this key",
            ),
        });
    }
    let certified = CertifiedKey::new(chain, signing);
    certified.keys_match().map_err(|error| {
        Fault::chain(format!("the certificate cannot be used: {error}"), "have it issued again")
    })?;
    Ok(certified)
}
