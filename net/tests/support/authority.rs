//! Certificate chains for tests: a root, two intermediates and a leaf.

// Not every test file uses all of it, and what fails here has failed the test.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use causeway_kit::certificates::{self, Key};
use causeway_net::secure::{HandshakeLimits, Handshaker, Identity, Offer};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::X509;

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
        let authority = certificates::Authority::with_keys([(); 3].map(|()| kit_key(kind)));
        let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
        let server = authority.server_with(names, kit_key(kind), [now - day, now + 30 * day]);
        Self {
            root: X509::from_pem(authority.root().as_bytes()).unwrap(),
            chain: X509::stack_from_pem(server.chain_pem().as_bytes()).unwrap(),
            key: PKey::private_key_from_pem(server.key_pem().as_bytes()).unwrap(),
        }
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

fn kit_key(kind: Kind) -> Key {
    match kind {
        Kind::Ecdsa => Key::ecdsa(),
        // The kit's library signs with RSA, and makes no keys for it.
        Kind::Rsa => {
            let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
            Key::from_pem(&String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap())
        }
    }
}
