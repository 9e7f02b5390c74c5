//! Why a text is not the URI of a server.

/// Why a text is not the URI of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Another scheme, or no scheme.
    #[error("{0:?} does not start with `stun:`, `stuns:`, `turn:` or `turns:`")]
    Scheme(String),
    /// `turn://host`, as web addresses are written.
    #[error("{0:?}: write the host directly after the colon, without `//`")]
    Slashes(String),
    /// `user@host`: these URIs carry no credentials. The message does not repeat them, since they
    /// may contain a password.
    #[error("a server's URI has no user name; see --username and --password-file")]
    User,
    /// The host is missing.
    #[error("{0:?} has no host")]
    NoHost(String),
    /// The text in brackets is not an IPv6 address.
    #[error("{0:?} is not an IPv6 address in brackets")]
    Literal(String),
    /// The text in brackets has a zone that this host does not have.
    #[error("[{text}]: {reason}; write a zone as in [fe80::1%25eth0]")]
    Zone {
        /// The text in brackets.
        text: String,
        /// Why the zone is refused.
        reason: &'static str,
    },
    /// More than one colon without brackets.
    #[error("{0:?}: write an IPv6 address in brackets, as in `[2001:db8::1]`")]
    Brackets(String),
    /// The host is too long, or has characters that host names do not have.
    #[error("{0:?} is not a host name or an address")]
    Host(String),
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("{0:?} is not valid percent-encoding")]
    Encoding(String),
    /// The port is not a number from 1 to 65535.
    #[error("{0:?} is not a port; the range is 1 to 65535")]
    Port(String),
    /// A query other than `transport=`.
    #[error(
        "unknown query {0:?}; write `?transport=udp` or `?transport=tcp` after the port, or nothing"
    )]
    Query(String),
    /// A query on a `stun:` or `stuns:` URI, which cannot have one (RFC 7064 §3.1).
    #[error("{0:?}: a stun: or stuns: URI has no query; see --transport")]
    StunQuery(String),
    /// A transport that TURN URIs do not know.
    #[error("unknown transport {0:?}; write `udp` or `tcp`")]
    Transport(String),
    /// A path or a fragment.
    #[error("{0:?}: only `?transport=` may follow the port")]
    Path(String),
}
