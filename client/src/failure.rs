use std::net::SocketAddr;

use causeway_wire::ErrorCode;
use causeway_wire::attribute::AttributeType;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server answered with an error.
    #[error("{0}")]
    Refused(Refusal),
    /// Nobody answered in time.
    #[error("no answer in time")]
    TimedOut,
    /// Answers came, but none with a right message integrity (RFC 8489 §9.2.5): a wrong password in
    /// the server, or a forger.
    #[error("the answers were not authentic")]
    IntegrityViolated,
    /// The answer lacks what it must have, or requires an attribute that is not known (RFC 8489
    /// §6.3.3, §6.3.4).
    #[error("the answer is not understood")]
    Malformed,
    /// The server demands a security feature that this client does not have, or its challenge was
    /// tampered with (RFC 8489 §9.2.5).
    #[error("the server's challenge cannot be met")]
    Challenge,
    /// The request is longer than a message can be.
    #[error("the request is too long")]
    TooLong,
    /// The transport failed: connection reset, or a hard ICMP error (RFC 8489 §6.2.1, §6.2.2).
    #[error("the transport failed")]
    Transport,
}

/// Where a 300 leads to (RFC 8489 §10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternate {
    /// ALTERNATE-SERVER: the first one, which is of the family that the request came over.
    pub server: SocketAddr,
    /// ALTERNATE-DOMAIN: the name that the certificate of that server must have; the same as
    /// before without.
    pub domain: Option<String>,
}

/// An error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// ERROR-CODE's number.
    pub code: ErrorCode,
    /// ERROR-CODE's phrase as the server wrote it, without control characters, at most 763 bytes.
    pub reason: String,
    /// ALTERNATE-SERVER of a 300 whose integrity is right: "receivers MUST validate the
    /// MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 of this response before redirecting
    /// themselves to an alternate server" (RFC 8489 §14.8).
    pub alternate: Option<Alternate>,
    /// UNKNOWN-ATTRIBUTES of a 420.
    pub unknown: Vec<AttributeType>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.code.number())?;
        let reason = if self.reason.is_empty() { self.code.reason() } else { &self.reason };
        if reason.is_empty() { Ok(()) } else { write!(f, " {reason}") }
    }
}
