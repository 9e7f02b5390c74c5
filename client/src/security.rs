use causeway_auth::Algorithm;

/// How requests are authenticated, as the server's challenge made the client choose (RFC 8489
/// §9.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Security {
    /// What the key is made with.
    pub algorithm: Algorithm,
    /// MESSAGE-INTEGRITY-SHA256 protects the messages; else MESSAGE-INTEGRITY.
    pub sha256_integrity: bool,
    /// The user is named by USERHASH; else by USERNAME.
    pub userhash: bool,
}
