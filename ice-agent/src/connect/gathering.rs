//! What all sources of candidates share: the timing of requests, and the form of a problem.

use std::net::IpAddr;
use std::time::Duration;

use causeway_client::{Failure, Timing};
use serde::Serialize;

use crate::uri::ServerUri;

/// A server that does not answer within 5.5 s is given up; the full 39.5 s of RFC 8489 §6.2.1 would
/// outlast the call.
// Deviation: RFC 8489 §6.2.1: requests are retransmitted every 500 ms without doubling, so that ten
// of them fit into that time and loss alone does not exclude a server.
pub(super) const TIMING: Timing = Timing {
    rto: Duration::from_millis(500),
    longest: Duration::from_millis(500),
    requests: 10,
    last_wait: 2,
    reliable: Duration::from_secs(8),
};

/// Something that failed while the rest continued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The place: a server's URI, `rendezvous`, `peer` or `this host`.
    pub at: String,
    /// The attempted step: `Binding`, `Allocate`, `CreatePermission`, `ChannelBind`, `connect`,
    /// `resolve`, …
    pub step: String,
    /// The peer that the step was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// The STUN error code, if the server answered with one.
    pub code: Option<u16>,
    /// The server's reason phrase, or the error.
    pub reason: String,
}

impl Problem {
    /// A request to a server that failed.
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

    /// A problem without an error code and a peer.
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
