use std::fmt;

use serde::Serialize;

use super::report::Report;

/// Both families; see the [module](super) for the JSON form.
#[derive(Debug, Clone, Serialize)]
pub struct Document {
    /// IPv4, or IPv6 where there is no IPv4.
    #[serde(flatten)]
    pub first: Report,
    /// IPv6, where both were measured.
    pub other_family: Option<Report>,
    /// What was not measured, and why; sentences for people.
    pub left_out: Vec<String>,
}

impl Document {
    /// Whether nothing came back in any family.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        let blocked = |report: &Report| report.mapped.is_none();
        blocked(&self.first) && self.other_family.as_ref().is_none_or(blocked)
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if let Some(other) = &self.other_family {
            write!(f, "\n{other}")?;
        }
        for note in &self.left_out {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}
