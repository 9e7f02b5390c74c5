//! A certificate chain with its key, as an operator has it.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// A certificate chain and the key of its leaf, checked for both libraries: rustls for TLS, OpenSSL for DTLS.
pub struct Identity {
    certified: Arc<CertifiedKey>,
    chain: Vec<X509>,
    key: PKey<Private>,
    names: Vec<Name>,
    not_after: u64,
}

/// Whom a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// In lower case; it may begin with `*.`.
    Dns(String),
    Ip(IpAddr),
}

/// Why a chain and a key are no [`Identity`].
#[derive(Debug)]
pub enum IdentityError {
    /// There is no certificate in the chain, or one is not PEM.
    Chain(Box<dyn Error + Send + Sync>),
    /// There is no key, it is not PEM, or it is of no kind that can be served (PKCS#8, SEC1, PKCS#1; ECDSA, RSA, Ed25519).
    Key(Box<dyn Error + Send + Sync>),
    /// The key is not that of the first certificate.
    Mismatch,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain(error) => write!(f, "the certificate chain is not usable: {error}"),
            Self::Key(error) => write!(f, "the private key is not usable: {error}"),
            Self::Mismatch => f.write_str("the private key does not belong to the first certificate"),
        }
    }
}

impl Error for IdentityError {}

impl Identity {
    /// Reads a chain (PEM, the server's own certificate first, then its issuers) and the key (PEM) of its first certificate.
    ///
    /// # Errors
    /// [`IdentityError`]: what is wrong, without a word of the key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let certificates =
            CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>().map_err(|e| IdentityError::Chain(e.into()))?;
        if certificates.is_empty() {
            return Err(IdentityError::Chain("it holds no certificate".into()));
        }
        let parsed = certificates.iter().map(|der| X509::from_der(der)).collect::<Result<Vec<_>, _>>();
        let parsed = parsed.map_err(|e| IdentityError::Chain(e.into()))?;
        let private = PrivateKeyDer::from_pem_slice(key).map_err(|e| IdentityError::Key(e.into()))?;
        let key = PKey::private_key_from_der(private.secret_der()).map_err(|e| IdentityError::Key(e.into()))?;
        let certified = CertifiedKey::from_der(certificates, private, &default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => IdentityError::Mismatch,
            error => IdentityError::Key(error.into()),
        })?;
        let leaf = &parsed[0];
        if !leaf.public_key().is_ok_and(|public| public.public_eq(&key)) {
            return Err(IdentityError::Mismatch);
        }
        let not_after = unix(leaf.not_after()).map_err(|e| IdentityError::Chain(e.into()))?;
        Ok(Self { names: names(leaf), not_after, certified: Arc::new(certified), chain: parsed, key })
    }

    /// The names and addresses that the certificate is for, as it writes them (a name may begin with `*.`).
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.names.iter().map(|name| match name {
            Name::Dns(name) => name.clone(),
            Name::Ip(address) => address.to_string(),
        })
    }

    /// When the certificate expires, in seconds since 1970-01-01T00:00:00Z.
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// Whether the certificate is for `name`: a host name in any case, or an address as text. A `*.` stands for one label.
    pub fn is_for(&self, name: &str) -> bool {
        let address = name.parse::<IpAddr>().ok();
        self.names.iter().any(|own| match own {
            Name::Ip(own) => Some(*own) == address,
            Name::Dns(own) => address.is_none() && matches(own, name),
        })
    }

    /// As rustls has it.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// As OpenSSL has it: the leaf, then its issuers.
    pub(crate) fn chain(&self) -> &[X509] {
        &self.chain
    }

    /// As OpenSSL has it.
    pub(crate) fn key(&self) -> &PKey<Private> {
        &self.key
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("names", &self.names).field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Identity {
    /// One that nobody vouches for.
    pub(crate) fn self_signed() -> Self {
        use openssl::ec::{EcGroup, EcKey};
        use openssl::hash::MessageDigest;
        use openssl::nid::Nid;
        let key = EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap();
        let key = PKey::from_ec_key(key).unwrap();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self::from_pem(&builder.build().to_pem().unwrap(), &key.private_key_to_pem_pkcs8().unwrap()).unwrap()
    }
}

/// Whether the certificate's `own` name covers `name`.
fn matches(own: &str, name: &str) -> bool {
    match own.strip_prefix("*.") {
        Some(domain) => name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain)),
        None => own.eq_ignore_ascii_case(name),
    }
}

/// The alternative names; the common name where there is none of them, as old private authorities write it.
fn names(leaf: &X509) -> Vec<Name> {
    let alternative = leaf.subject_alt_names();
    let named = alternative.iter().flatten().filter_map(|name| match (name.dnsname(), name.ipaddress()) {
        (Some(name), _) => Some(Name::Dns(name.to_ascii_lowercase())),
        (None, Some(bytes)) => match *bytes {
            [a, b, c, d] => Some(Name::Ip([a, b, c, d].into())),
            _ => Some(Name::Ip(<[u8; 16]>::try_from(bytes).ok()?.into())),
        },
        (None, None) => None,
    });
    let named: Vec<_> = named.collect();
    if !named.is_empty() {
        return named;
    }
    let common = leaf.subject_name().entries_by_nid(openssl::nid::Nid::COMMONNAME);
    common.filter_map(|entry| Some(Name::Dns(entry.data().to_string().ok()?.to_ascii_lowercase()))).collect()
}

/// Seconds since 1970; 0 for what was before.
fn unix(time: &Asn1TimeRef) -> Result<u64, openssl::error::ErrorStack> {
    let since = Asn1Time::from_unix(0)?.diff(time)?;
    Ok(u64::try_from(i64::from(since.days) * 86_400 + i64::from(since.secs)).unwrap_or(0))
}
