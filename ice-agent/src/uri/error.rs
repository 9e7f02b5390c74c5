/// Why a text is not the URI of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Another scheme, or none.
    #[error("{0:?} starts with none of `stun:`, `stuns:`, `turn:` and `turns:`")]
    Scheme(String),
    /// `turn://host`, as web addresses are written.
    #[error("{0:?}: the host follows the colon at once, without `//`")]
    Slashes(String),
    /// `user@host`: these URIs carry no credentials. They are not shown: there may be a password.
    #[error("no user name stands in such a URI; see --username and --password-file")]
    User,
    /// There is no host at all.
    #[error("{0:?} names no host")]
    NoHost(String),
    /// What stands in brackets is no IPv6 address.
    #[error("{0:?} is no IPv6 address in brackets")]
    Literal(String),
    /// What stands in brackets has a zone that is none of this host's.
    #[error("[{text}]: {reason}; a zone is written as in [fe80::1%25eth0]")]
    Zone {
        /// What stands in the brackets.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More than one colon, and no brackets.
    #[error("{0:?}: an IPv6 address stands in brackets: `[2001:db8::1]`")]
    Brackets(String),
    /// The host is too long or has characters that no host has.
    #[error("{0:?} is no host name or address")]
    Host(String),
    /// A `%` without two hexadecimal digits, or octets that are no UTF-8.
    #[error("{0:?} is not percent-encoded text")]
    Encoding(String),
    /// The port is no number from 1 to 65535.
    #[error("{0:?} is no port (1 to 65535)")]
    Port(String),
    /// A query other than `transport=`.
    #[error(
        "{0:?} is not understood; all that may follow the port is `?transport=udp` or `?transport=tcp`"
    )]
    Query(String),
    /// A query on a `stun:` or `stuns:` URI, which has none (RFC 7064 §3.1).
    #[error("{0:?}: a stun: or stuns: URI has no query; see --transport")]
    StunQuery(String),
    /// A transport that TURN does not have.
    #[error("the transport {0:?} is unknown; `udp` and `tcp` are known")]
    Transport(String),
    /// A path or a fragment.
    #[error("{0:?}: nothing stands behind the port but `?transport=`")]
    Path(String),
}
