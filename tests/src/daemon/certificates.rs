//! Certificates as an operator has them: a chain of three, made by the openssl program, whose root
//! the clients are told to trust.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::program;
use super::scratch::Scratch;

/// The kind of all three keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// On P-256.
    Ecdsa,
    /// Of 2048 bits.
    Rsa,
}

/// A root, an intermediate authority and the server's own, for 127.0.0.1, ::1 and localhost.
pub struct Certificates(Scratch);

const LIMIT: Duration = Duration::from_secs(20);
const AUTHORITY: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";
const SERVER: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth\n\
    subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\n";

impl Certificates {
    /// Makes them.
    #[must_use]
    pub fn make(kind: KeyKind) -> Self {
        let these = Self(Scratch::new());
        these.0.write("authority", AUTHORITY);
        these.0.write("server", SERVER);
        these.key(kind, "root");
        these.openssl("req -new -key root.key -subj /CN=Interop_Root -out root.csr");
        these.openssl(
            "x509 -req -in root.csr -signkey root.key -days 2 -extfile authority -out root.pem",
        );
        for (name, issuer, extensions) in
            [("intermediate", "root", "authority"), ("leaf", "intermediate", "server")]
        {
            these.key(kind, name);
            these.openssl(&format!(
                "req -new -key {name}.key -subj /CN=Interop_{name} -out {name}.csr"
            ));
            these.openssl(&format!(
                "x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -set_serial {} -days 2 -extfile {extensions} -out {name}.pem",
                name.len()
            ));
        }
        let chain =
            ["leaf.pem", "intermediate.pem", "root.pem"].map(|name| these.0.read(name)).concat();
        these.0.write("chain.pem", &chain);
        these
    }

    /// The lines of a configuration that name chain and key.
    #[must_use]
    pub fn table(&self) -> String {
        let (chain, key) = (self.0.path("chain.pem"), self.0.path("leaf.key"));
        format!("[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", chain.display(), key.display())
    }

    /// The chain, the server's own first, and its key.
    #[must_use]
    pub fn files(&self) -> [PathBuf; 2] {
        ["chain.pem", "leaf.key"].map(|name| self.0.path(name))
    }

    /// The root, which a client must know.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.0.path("root.pem")
    }

    /// Puts another chain and key where these are, as a renewal does.
    pub fn replace_by(&self, other: &Self) {
        for name in ["leaf.key", "chain.pem"] {
            self.0.write(name, &other.0.read(name));
        }
    }

    /// Writes the chain's file again, with what `edit` makes of its text.
    ///
    /// # Panics
    /// The folder cannot be written.
    pub fn edit_chain(&self, edit: impl FnOnce(&str) -> Vec<u8>) {
        let edited = edit(&self.0.read("chain.pem"));
        std::fs::write(self.0.path("chain.pem"), edited).expect("the folder is ours");
    }

    fn key(&self, kind: KeyKind, name: &str) {
        let algorithm = match kind {
            KeyKind::Ecdsa => "EC -pkeyopt ec_paramgen_curve:P-256",
            KeyKind::Rsa => "RSA -pkeyopt rsa_keygen_bits:2048",
        };
        self.openssl(&format!("genpkey -quiet -algorithm {algorithm} -out {name}.key"));
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(self.0.path("."));
        let output = program::run(command, LIMIT);
        assert!(output.succeeded, "openssl {arguments}: {}", output.text);
    }
}
