//! Certificate authorities and what they issue, made for a test.

#![allow(dead_code, clippy::unwrap_used)] // not every test file uses all of it, and what fails here has failed the test

use causeway_net::secure::Identity;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Name, X509Ref};

/// Which kind of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ecdsa,
    Rsa,
}

/// A certificate and its key.
pub(crate) struct Issued {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

/// A root, an authority below it, and a server's certificate below that.
pub(crate) struct Chain {
    pub(crate) root: Issued,
    pub(crate) middle: Issued,
    pub(crate) leaf: Issued,
}

impl Kind {
    pub(crate) fn key(self) -> PKey<Private> {
        match self {
            Self::Ecdsa => {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
                PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
            }
            Self::Rsa => PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
        }
    }
}

impl Chain {
    /// All keys of one kind; the leaf is for `names`, host names or addresses.
    pub(crate) fn new(kind: Kind, names: &[&str]) -> Self {
        let root = issue("Root", kind, None, &[]);
        let middle = issue("Middle", kind, Some(&root), &[]);
        let leaf = issue("Leaf", kind, Some(&middle), names);
        Self { root, middle, leaf }
    }

    /// What the server presents: leaf, authority, root.
    pub(crate) fn pem(&self) -> Vec<u8> {
        [&self.leaf, &self.middle, &self.root].iter().flat_map(|issued| issued.certificate.to_pem().unwrap()).collect()
    }

    pub(crate) fn key_pem(&self) -> Vec<u8> {
        self.leaf.key.private_key_to_pem_pkcs8().unwrap()
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(&self.pem(), &self.key_pem()).expect("a good chain")
    }
}

/// A certificate signed by `issuer`, or by itself. Without names it is an authority's.
fn issue(common_name: &str, kind: Kind, issuer: Option<&Issued>, names: &[&str]) -> Issued {
    let key = kind.key();
    let mut builder = X509::builder().unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, MsbOption::MAYBE_ZERO, false).unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(30).unwrap()).unwrap();
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_text("CN", common_name).unwrap();
    let subject = subject.build();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(issuer.map_or(&*subject, |issuer| X509Ref::subject_name(&issuer.certificate))).unwrap();
    builder.set_pubkey(&key).unwrap();
    let mut constraints = BasicConstraints::new();
    if names.is_empty() {
        builder.append_extension(constraints.critical().ca().build().unwrap()).unwrap();
        builder.append_extension(KeyUsage::new().key_cert_sign().build().unwrap()).unwrap();
    } else {
        let mut alternative = SubjectAlternativeName::new();
        for name in names {
            let is_address = name.parse::<std::net::IpAddr>().is_ok();
            if is_address {
                alternative.ip(name)
            } else {
                alternative.dns(name)
            };
        }
        let extension = alternative.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(extension).unwrap();
    }
    builder.sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
    Issued { certificate: builder.build(), key }
}
