use std::error::Error;
use std::fmt;

/// Which of the two files of an [`ServerCertificate`](crate::ServerCertificate) is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificates.
    Chain,
    /// The private key.
    Key,
}

/// Why a file is refused. It has no byte of a private key in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file at fault.
    pub part: Part,
    /// What is wrong.
    pub what: String,
    /// What to do about it; `FILE` in a command stands for the file's name.
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
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.cure)
    }
}

impl Error for Fault {}
