use std::io;

use super::certificate_verifier::Presented;

/// What the connection is used for, which the server is told by ALPN (RFC 7443 §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// TURN.
    Turn,
    /// STUN Binding.
    NatDiscovery,
    /// HTTP/1.1.
    Http,
}

impl Usage {
    /// The protocol's name (RFC 7443 §2, RFC 7301 §6).
    #[must_use]
    pub const fn alpn(self) -> &'static str {
        match self {
            Self::Turn => "stun.turn",
            Self::NatDiscovery => "stun.nat-discovery",
            Self::Http => "http/1.1",
        }
    }
}

/// What a handshake came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secured {
    /// The protocol: `TLS 1.3`, `DTLS 1.2`.
    pub version: &'static str,
    /// The cipher suite's name in the registry of IANA.
    pub cipher: String,
    /// The protocol that the server chose by ALPN; `None` if it chose none.
    pub alpn: Option<String>,
    /// The server's certificates.
    pub presented: Presented,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The socket's error; `TimedOut` if nobody answers.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// The certificate is not believed.
    #[error("the server's certificate is not trusted: {}", .0.verdict.as_ref().err().map_or("", String::as_str))]
    Untrusted(Box<Presented>),
    /// The handshake failed for another reason.
    #[error("{protocol} handshake: {reason}")]
    Handshake {
        /// `TLS` or `DTLS`.
        protocol: &'static str,
        /// What went wrong.
        reason: String,
    },
}

impl OpenError {
    /// A failed handshake, which the certificate is the reason of if the witness did not believe
    /// it.
    pub(super) fn of_handshake(
        protocol: &'static str,
        reason: String,
        seen: Option<Presented>,
        insisted: bool,
    ) -> Self {
        match seen {
            Some(presented) if insisted && presented.verdict.is_err() => {
                Self::Untrusted(Box::new(presented))
            }
            _ => Self::Handshake { protocol, reason },
        }
    }
}
