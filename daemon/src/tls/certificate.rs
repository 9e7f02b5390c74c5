use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use causeway_net::secure::{Identity, IdentityError};
use zeroize::Zeroizing;

use crate::config::Problem;
use crate::config::read_bounded;

/// The longest file of a chain or a key.
const LONGEST: u64 = 1 << 20;

/// A chain and its key, and the files that they come from.
#[derive(Clone)]
pub struct Certificate {
    files: Files,
    /// What the files held when they were last looked at, good or not: a mistake is told once.
    seen: Option<Texts>,
    identity: Arc<Identity>,
}

/// What stands in the files: the chain, and the key.
type Texts = (Zeroizing<String>, Zeroizing<String>);

/// Where a chain and its key stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// The key of the configuration that names the pair: `tls`, `tls.further[0]`.
    pub(super) section: String,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Certificate {
    /// Reads both files and checks that they belong together.
    pub(super) fn read(files: &Files) -> Result<Self, Problem> {
        let texts = files.texts()?;
        let identity = files.identity(&texts)?;
        Ok(Certificate { files: files.clone(), seen: Some(texts), identity })
    }

    /// Looks at the files again; `None` while they are what they were. What is no good leaves the old pair in use.
    pub(super) fn reread(&mut self) -> Option<Result<(), Problem>> {
        let texts = self.files.texts();
        if texts.as_ref().ok() == self.seen.as_ref() {
            return None;
        }
        self.seen = texts.as_ref().ok().cloned();
        let identity = texts.and_then(|texts| self.files.identity(&texts));
        Some(identity.map(|identity| self.identity = identity))
    }

    /// For the handshakes.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }
}

impl Files {
    fn texts(&self) -> Result<Texts, Problem> {
        let text = |key, path| read_bounded(path, LONGEST).map_err(|error| self.problem(key, error));
        Ok((text("certificate", &self.certificate)?, text("key", &self.key)?))
    }

    fn identity(&self, (chain, key): &Texts) -> Result<Arc<Identity>, Problem> {
        Identity::from_pem(chain.as_bytes(), key.as_bytes()).map(Arc::new).map_err(|error| {
            let (which, path) = match error {
                IdentityError::Chain(_) => ("certificate", &self.certificate),
                IdentityError::Key(_) | IdentityError::Mismatch => ("key", &self.key),
            };
            self.problem(which, format!("{}: {error}", path.display()))
        })
    }

    fn problem(&self, key: &str, what: String) -> Problem {
        Problem::new(format!("{}.{key}", self.section), what)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.files.certificate.display())
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.identity.names().collect::<Vec<_>>().join(", ");
        write!(f, "{}, for {}", self.files.certificate.display(), if names.is_empty() { "no name" } else { &names })
    }
}
