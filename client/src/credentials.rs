//! The user's credentials, and how requests are authenticated with them.

use std::fmt;

use causeway_auth::{Algorithm, Key, opaque_string, userhash};
use causeway_wire::IntegrityKey;
use zeroize::Zeroizing;

/// A long-term credential (RFC 8489 §9.2). The password is wiped on drop and never printed.
#[derive(Clone)]
pub struct Credentials {
    username: String,
    password: Zeroizing<String>,
}

impl Credentials {
    /// Creates it from a user name and a password, both converted to the form of OpaqueString (RFC
    /// 8265 §4.2).
    ///
    /// A text that the profile refuses, such as the empty one, is used unchanged.
    // Deviation: RFC 8489 §14.3: a name that OpaqueString refuses is sent unchanged, since servers
    // of old standards may accept it; the server decides.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: opaque(username.into()),
            password: Zeroizing::new(opaque(password.into())),
        }
    }

    /// The user name, as USERNAME carries it.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The key for a realm (RFC 8489 §9.2.2, §18.5.1).
    pub(crate) fn key(&self, realm: &str, algorithm: Algorithm) -> IntegrityKey {
        Key::long_term(algorithm, &self.username, &opaque(realm.into()), &self.password)
            .integrity_key()
    }

    /// The value of USERHASH for a realm (RFC 8489 §14.4).
    pub(crate) fn userhash(&self, realm: &str) -> [u8; 32] {
        userhash(&self.username, &opaque(realm.into()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

fn opaque(text: String) -> String {
    match opaque_string(&text) {
        Ok(opaque) => opaque.into_owned(),
        Err(_) => text,
    }
}

/// How requests are authenticated: the choice that the client made from the server's challenge (RFC
/// 8489 §9.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Security {
    /// The algorithm that derives the key from the password.
    pub algorithm: Algorithm,
    /// Whether MESSAGE-INTEGRITY-SHA256 protects the messages, instead of MESSAGE-INTEGRITY.
    pub sha256_integrity: bool,
    /// Whether USERHASH names the user, instead of USERNAME.
    pub userhash: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h25_a_password_is_never_printed() {
        assert!(!format!("{:?}", Credentials::new("user", "s3cret")).contains("s3cret"));
    }

    #[test]
    fn rfc8489_14_3_the_username_is_an_opaque_string() {
        // RFC 8265 §4.3: U+1680 is a space; a letter and its combining mark are one.
        assert_eq!(Credentials::new("foo\u{1680}ba\u{30A}r", "x").username(), "foo bår");
        assert_eq!(Credentials::new("", "x").username(), "");
    }
}
