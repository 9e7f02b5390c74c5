//! Certificates as an operator has them: a chain of three in files, whose root the clients trust.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use causeway_kit::Scratch;
use causeway_kit::certificates::{Authority, Key};
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

/// The kind of all three keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on the curve P-256.
    Ecdsa,
    /// RSA with 2048 bits.
    Rsa,
}

impl KeyKind {
    fn key(self) -> Key {
        match self {
            Self::Ecdsa => Key::ecdsa(),
            // The kit's library signs with RSA keys, but cannot generate them.
            Self::Rsa => {
                let key = Rsa::generate(2048).and_then(PKey::from_rsa).expect("an RSA key");
                let pem = key.private_key_to_pem_pkcs8().expect("the key can be written as PEM");
                Key::from_pem(&String::from_utf8(pem).expect("PEM is text"))
            }
        }
    }
}

/// The server's certificate for 127.0.0.1, ::1 and localhost, the intermediate authority's and the
/// root.
pub struct Certificates(Scratch);

impl Certificates {
    /// Makes new keys and a chain of certificates for them.
    #[must_use]
    pub fn make(kind: KeyKind) -> Self {
        let these = Self(Scratch::new());
        let authority = Authority::with_keys([kind.key(), kind.key()]);
        let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
        let server = authority.server_with(
            &["localhost", "127.0.0.1", "::1"],
            kind.key(),
            [now - day, now + 2 * day],
        );
        these.0.write("root.pem", authority.root());
        these.0.write("leaf.key", server.key_pem());
        these.0.write("chain.pem", server.chain_pem() + authority.root());
        these
    }

    /// The lines of a configuration that name chain and key.
    #[must_use]
    pub fn table(&self) -> String {
        let [chain, key] = self.files();
        format!("[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", chain.display(), key.display())
    }

    /// The chain, the server's own first, and its key.
    #[must_use]
    pub fn files(&self) -> [PathBuf; 2] {
        ["chain.pem", "leaf.key"].map(|name| self.0.path(name))
    }

    /// The root, for clients.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.0.path("root.pem")
    }

    /// Overwrites chain and key with those of `other`, as a renewal does.
    pub fn replace_by(&self, other: &Self) {
        for name in ["leaf.key", "chain.pem"] {
            self.0.write(name, other.0.read(name));
        }
    }

    /// Overwrites the chain's file with its text as changed by `edit`.
    ///
    /// # Panics
    /// The folder cannot be written.
    pub fn edit_chain(&self, edit: impl FnOnce(&str) -> Vec<u8>) {
        let edited = edit(&self.0.read("chain.pem"));
        self.0.write("chain.pem", edited);
    }
}
