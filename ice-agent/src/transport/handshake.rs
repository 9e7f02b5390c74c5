//! The result of a TLS or DTLS handshake, and why no connection came about.

use std::io;

use super::certificate_verifier::Presented;

/// The purpose of a connection, which ALPN tells the server (RFC 7443 §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    Turn,
    NatDiscovery,
    Http,
}

impl Usage {
    /// The ALPN protocol name (RFC 7443 §2, RFC 7301 §6).
    #[must_use]
    pub const fn alpn(self) -> &'static str {
        match self {
            Self::Turn => "stun.turn",
            Self::NatDiscovery => "stun.nat-discovery",
            Self::Http => "http/1.1",
        }
    }
}

/// The result of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secured {
    /// The protocol version: `TLS 1.2`, `TLS 1.3` or `DTLS 1.2`.
    pub version: &'static str,
    /// The cipher suite's name in the IANA registry.
    pub cipher: String,
    /// The protocol that the server chose by ALPN; `None` if it chose none.
    pub alpn: Option<String>,
    /// The server's certificates and the verdict on them.
    pub presented: Presented,
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The socket's error; `TimedOut` if the server is silent.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// The server's certificate is not trusted.
    #[error(
        "the server's certificate is not trusted: {}",
        .0.verdict.as_ref().err().map_or("", String::as_str)
    )]
    Untrusted(Box<Presented>),
    /// The handshake failed for another reason.
    #[error("{protocol} handshake: {reason}")]
    Handshake {
        /// `TLS` or `DTLS`.
        protocol: &'static str,
        /// Why the handshake failed.
        reason: String,
    },
}

impl OpenError {
    /// The error of a failed handshake: `Untrusted` if the verifier rejected the certificate.
    pub(super) fn of_handshake(
        protocol: &'static str,
        reason: String,
        seen: Option<Presented>,
        must_verify: bool,
    ) -> Self {
        match seen {
            Some(presented) if must_verify && presented.verdict.is_err() => {
                Self::Untrusted(Box::new(presented))
            }
            _ => Self::Handshake { protocol, reason },
        }
    }
}
