//! The report of both families.

use std::fmt;

use serde::Serialize;

use super::report::Report;

/// The reports of both families; docs/ice-agent.md has the JSON form.
#[derive(Debug, Clone, Serialize)]
pub struct Document {
    /// The report of IPv4, or of IPv6 if IPv4 was not measured.
    #[serde(flatten)]
    pub first: Report,
    /// The report of IPv6, if both were measured.
    pub other_family: Option<Report>,
    /// Notes about tests that were not made, and why, in sentences.
    pub left_out: Vec<String>,
}

impl Document {
    /// Whether no answer came in any family.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documented::assert_documented;
    use crate::nat::{LossReport, Ports, Test};

    #[test]
    fn the_documentation_has_every_key() {
        let server = "192.0.2.1:3478".parse().unwrap();
        let mut first = Report::new(server);
        first.ports = Some(Ports { sockets: 1, kept: 1, partly: 0, destinations: 1 });
        first.loss = Some(LossReport { requests: 1, lost: 0, percent: 0.0 });
        first.tests.push(Test {
            name: "connectivity",
            local: server,
            sent_to: server,
            asked: "the same",
            requests: 1,
            mapped: None,
            answered_from: None,
            failure: None,
        });
        let document = Document { first, other_family: None, left_out: Vec::new() };
        assert_documented("nat", &document);
    }
}
