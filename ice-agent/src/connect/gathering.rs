//! What all sources of candidates share: how long they wait, and how they say what failed.

use std::net::IpAddr;
use std::time::Duration;

use causeway_client::{Failure, Timing};
use serde::Serialize;

use crate::uri::ServerUri;

/// A server that has not answered after 5.5 s is left out; the full 39.5 s of RFC 8489 §6.2.1 would
/// outlast the call.
// Deviation: RFC 8489 §6.2.1: requests are repeated every 500 ms without doubling, so that ten of
// them fit into that time and a server is not left out for what the path loses.
pub(super) const TIMING: Timing = Timing {
    rto: Duration::from_millis(500),
    longest: Duration::from_millis(500),
    requests: 10,
    last_wait: 2,
    reliable: Duration::from_secs(8),
};

/// One thing that failed while the rest went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The server's URI, `rendezvous`, `peer` or `ice`.
    pub at: String,
    /// What was tried: `Binding`, `Allocate`, `CreatePermission`, `ChannelBind`, `connect`,
    /// `resolve`, …
    pub step: String,
    /// The peer that it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// The STUN error code, if the server answered with one.
    pub code: Option<u16>,
    /// The server's reason phrase, or what happened otherwise.
    pub reason: String,
}

impl Problem {
    /// A request to a server that came to nothing.
    #[must_use]
    pub fn at_server(
        server: &ServerUri,
        step: &str,
        peer: Option<IpAddr>,
        failure: &Failure,
    ) -> Self {
        let (code, reason) = match failure {
            Failure::Refused(refusal) => {
                let own = refusal.reason.as_str();
                let reason = if own.is_empty() { refusal.code.reason() } else { own };
                (Some(refusal.code.number()), reason.into())
            }
            other => (None, other.to_string()),
        };
        Self { at: server.to_string(), step: step.into(), peer, code, reason }
    }

    /// Anything else.
    #[must_use]
    pub fn new(at: &str, step: &str, reason: impl Into<String>) -> Self {
        Self { at: at.into(), step: step.into(), peer: None, code: None, reason: reason.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.at, self.step)?;
        if let Some(peer) = self.peer {
            write!(f, " for {peer}")?;
        }
        f.write_str(": ")?;
        if let Some(code) = self.code {
            write!(f, "{code} ")?;
        }
        f.write_str(&self.reason)
    }
}
