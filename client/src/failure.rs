//! Why requests fail, with the error responses of servers.

use std::net::SocketAddr;

use causeway_wire::ErrorCode;
use causeway_wire::attribute::AttributeType;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server answered with an error.
    #[error("{0}")]
    Refused(Refusal),
    /// No response arrived in time.
    #[error("no answer in time")]
    TimedOut,
    /// Responses arrived, but none with a correct message integrity (RFC 8489 §9.2.5): the server
    /// has another password, or the responses are forged.
    #[error("the answers were not authentic")]
    IntegrityViolated,
    /// The response lacks a required attribute, or has an unknown comprehension-required one (RFC
    /// 8489 §6.3.3, §6.3.4).
    #[error("the answer is not understood")]
    Malformed,
    /// The server requires a security feature that this client does not have, or its challenge was
    /// tampered with (RFC 8489 §9.2.5).
    #[error("the server's challenge cannot be met")]
    Challenge,
    /// The request would be longer than a message can be.
    #[error("the request is too long")]
    TooLong,
    /// The transport failed: connection reset, or a hard ICMP error (RFC 8489 §6.2.1, §6.2.2).
    #[error("the transport failed")]
    Transport,
}

/// The server that a 300 redirects to (RFC 8489 §10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternate {
    /// ALTERNATE-SERVER: the first one, which has the address family of the request.
    pub server: SocketAddr,
    /// ALTERNATE-DOMAIN: the name that the server's certificate must have; `None` for the same name
    /// as before.
    pub domain: Option<String>,
}

/// An error response of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code of ERROR-CODE, 300 to 699.
    pub code: ErrorCode,
    /// The reason phrase of ERROR-CODE as received, without control characters, at most 763 bytes.
    pub reason: String,
    /// ALTERNATE-SERVER of a 300 whose integrity is correct: "receivers MUST validate the
    /// MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 of this response before redirecting themselves
    /// to an alternate server" (RFC 8489 §14.8).
    pub alternate: Option<Alternate>,
    /// UNKNOWN-ATTRIBUTES of a 420; at most 16 types.
    pub unknown: Vec<AttributeType>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.code.number())?;
        let reason = if self.reason.is_empty() { self.code.reason() } else { &self.reason };
        if reason.is_empty() { Ok(()) } else { write!(f, " {reason}") }
    }
}
