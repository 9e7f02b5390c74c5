//! Certificate chains for tests: a root, two intermediates and a leaf.

// Not every test file uses all of it, and what fails here has failed the test.
#![allow(dead_code, clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::Arc;

use causeway_net::secure::{HandshakeLimits, Handshaker, Identity, Offer};
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Name};

/// The kind of key of each certificate of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rsa,
    Ecdsa,
}

/// A root that clients trust, and a chain below it: a leaf and two intermediates.
pub(crate) struct Authority {
    pub(crate) root: X509,
    pub(crate) chain: Vec<X509>,
    pub(crate) key: PKey<Private>,
}

impl Authority {
    /// A chain with a leaf for one name.
    pub(crate) fn new(kind: Kind, name: &str) -> Self {
        Self::naming(kind, &[name])
    }

    /// A chain with a leaf for these host names and addresses.
    pub(crate) fn naming(kind: Kind, names: &[&str]) -> Self {
        let root_key = key(kind);
        let root = certificate("root", &root_key, None, &[]);
        let (first_key, second_key, leaf_key) = (key(kind), key(kind), key(kind));
        let first = certificate("first", &first_key, Some((&root, &root_key)), &[]);
        let second = certificate("second", &second_key, Some((&first, &first_key)), &[]);
        let leaf = certificate(names[0], &leaf_key, Some((&second, &second_key)), names);
        Self { root, chain: vec![leaf, second, first], key: leaf_key }
    }

    /// The chain, as an operator gives it to the server.
    pub(crate) fn pem(&self) -> Vec<u8> {
        self.chain.iter().flat_map(|one| one.to_pem().unwrap()).collect()
    }

    /// The leaf's key, as an operator gives it to the server.
    pub(crate) fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().unwrap()
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(&self.pem(), &self.key_pem()).unwrap()
    }

    /// A handshaker that offers only this chain.
    pub(crate) fn handshaker(&self, limits: HandshakeLimits) -> Handshaker {
        let offer = Offer { identities: vec![Arc::new(self.identity())], alpn: &[] };
        Handshaker::start(offer, limits).unwrap()
    }
}

fn key(kind: Kind) -> PKey<Private> {
    match kind {
        Kind::Rsa => PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
        Kind::Ecdsa => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
        }
    }
}

/// A certificate for `key`: the leaf of a server of these names, or, without any, an issuer's.
fn certificate(
    name: &str,
    key: &PKey<Private>,
    issuer: Option<(&X509, &PKey<Private>)>,
    names: &[&str],
) -> X509 {
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let mut serial = BigNum::new().unwrap();
    serial.rand(64, MsbOption::MAYBE_ZERO, false).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder
        .set_issuer_name(issuer.map_or(&subject, |(certificate, _)| certificate.subject_name()))
        .unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(30).unwrap()).unwrap();
    if names.is_empty() {
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder
            .append_extension(KeyUsage::new().critical().key_cert_sign().build().unwrap())
            .unwrap();
    } else {
        let mut alternative = SubjectAlternativeName::new();
        for name in names {
            match name.parse::<IpAddr>() {
                Ok(_) => alternative.ip(name),
                Err(_) => alternative.dns(name),
            };
        }
        let names = alternative.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(names).unwrap();
    }
    builder.sign(issuer.map_or(key, |(_, key)| key), MessageDigest::sha256()).unwrap();
    builder.build()
}
