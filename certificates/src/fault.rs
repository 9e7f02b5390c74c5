//! Why a certificate file or key file is refused, with the cure.

use std::error::Error;
use std::fmt;
use std::path::Path;

/// The file of a [`ServerCertificate`](crate::ServerCertificate) that is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The file of the certificate chain.
    Chain,
    /// The file of the private key.
    Key,
}

/// Why a file is refused. It never contains a byte of a private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file at fault.
    pub part: Part,
    /// The fault, as a phrase about the file.
    pub what: String,
    /// The cure; `FILE` in a command stands for the file's name, see [`cure_for`](Fault::cure_for).
    pub cure: String,
}

impl Fault {
    /// A fault of the certificates.
    #[must_use]
    pub fn chain(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { part: Part::Chain, what: what.into(), cure: cure.into() }
    }

    /// A fault of the private key.
    #[must_use]
    pub fn key(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { part: Part::Key, what: what.into(), cure: cure.into() }
    }

    /// The cure with the name of the file.
    #[must_use]
    pub fn cure_for(&self, file: &Path) -> String {
        self.cure.replace("FILE", &file.display().to_string())
    }

    /// The whole message: the file, what is wrong with it, and the cure.
    #[must_use]
    pub fn of_file(&self, file: &Path) -> String {
        format!("{}: {}; {}", file.display(), self.what, self.cure_for(file))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.cure)
    }
}

impl Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_file_in_front_and_in_the_cure() {
        let fault = Fault::chain(
            "the file is DER, not PEM",
            "convert it: `openssl x509 -inform DER -in FILE -out NEW.pem`",
        );
        let message = "/tmp/a.der: the file is DER, not PEM; convert it: `openssl x509 -inform DER -in /tmp/a.der -out NEW.pem`";
        assert_eq!(fault.of_file(Path::new("/tmp/a.der")), message);
    }
}
