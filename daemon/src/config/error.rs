//! Problems of a configuration, one line each.

use std::fmt;

use super::origin::Origin;

/// One problem: the key, the place where it was written, the fault and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The full dotted key; empty if no key is at fault.
    pub key: String,
    /// The place where the key was written, if it was.
    pub origin: Option<Origin>,
    /// The fault, with the value unless it may be a secret.
    pub what: String,
    /// The remedy.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem with `key`.
    pub fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Problem { key: key.into(), origin: None, what: what.into(), hint: None }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, self.key.is_empty()) {
            (Some(origin), true) => write!(f, "{origin}: ")?,
            (Some(origin), false) => write!(f, "{} ({origin}): ", self.key)?,
            (None, true) => {}
            (None, false) => write!(f, "{}: ", self.key)?,
        }
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// All problems of a configuration, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The problems, in the order in which they were found.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        ConfigError { problems: vec![problem] }
    }
}
