//! A certificate chain with its key, and the files that they come from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use causeway_certificates::{Bytes, Expiry, Part, Standing, Validity, read};
use causeway_net::secure::Identity;

use crate::config::Problem;

/// A chain and its key, and the files that they come from.
#[derive(Clone)]
pub struct Certificate {
    files: Files,
    /// The contents of the files at the last check, valid or not, so that a fault is logged once.
    seen: Option<Contents>,
    identity: Arc<Identity>,
    /// The warnings about expiry that were logged.
    expiry: Expiry,
}

/// The contents of the files: the chain and the key.
type Contents = (Bytes, Bytes);

/// The files of a chain and its key.
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
        let contents = files.contents()?;
        let identity = files.identity(&contents)?;
        Ok(Certificate {
            files: files.clone(),
            seen: Some(contents),
            identity,
            expiry: Expiry::default(),
        })
    }

    /// Reads the files again; `None` if they have not changed. The old pair stays in use if the new
    /// one is not valid.
    pub(super) fn reread(&mut self) -> Option<Result<(), Problem>> {
        let contents = self.files.contents();
        if contents.as_ref().ok() == self.seen.as_ref() {
            return None;
        }
        self.seen = contents.as_ref().ok().cloned();
        let identity = contents.and_then(|contents| self.files.identity(&contents));
        Some(identity.map(|identity| {
            self.identity = identity;
            self.expiry.forget();
        }))
    }

    /// The chain and the key, for handshakes.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The time in which clients accept the certificate.
    pub(super) fn validity(&self) -> Validity {
        self.identity.certificate().validity()
    }

    /// The warning about expiry that is due at `now` (Unix seconds).
    pub(super) fn due(&mut self, now: i64) -> Option<Standing> {
        self.expiry.due(self.validity(), now)
    }

    /// A line about the certificate and one for each warning at `now` (Unix seconds), for
    /// `--check-config`.
    pub(super) fn describe(&self, now: i64) -> Vec<String> {
        let mut lines = vec![format!("certificate {self}")];
        let path = self.files.certificate.display();
        lines.extend(self.notes().map(|note| format!("warning: {path}: {note}")));
        match self.validity().at(now) {
            Standing::Valid => {}
            standing => lines.push(format!("warning: {path}: {standing}")),
        }
        lines
    }

    /// Notes on parts of the files that are not used.
    pub(super) fn notes(&self) -> impl Iterator<Item = &str> {
        self.identity.certificate().notes().iter().map(String::as_str)
    }
}

impl Files {
    fn contents(&self) -> Result<Contents, Problem> {
        let bytes = |key, path| {
            read(path).map_err(|error| Problem::new(format!("{}.{key}", self.section), error))
        };
        Ok((bytes("certificate", &self.certificate)?, bytes("key", &self.key)?))
    }

    fn identity(&self, (chain, key): &Contents) -> Result<Arc<Identity>, Problem> {
        Identity::from_pem(chain, key).map(Arc::new).map_err(|fault| {
            let (which, path) = match fault.part {
                Part::Chain => ("certificate", &self.certificate),
                Part::Key => ("key", &self.key),
            };
            let what = format!("{}: {}", path.display(), fault.what);
            Problem::new(format!("{}.{which}", self.section), what).hint(fault.cure_for(path))
        })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.files.certificate.display())
    }
}

/// Shows the file, the number of its certificates, their names and their expiry.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.files.certificate.display(), self.identity.certificate())
    }
}
