use std::fmt;

use causeway_auth::{Algorithm, Key, opaque_string, userhash};
use causeway_wire::IntegrityKey;
use zeroize::Zeroizing;

/// A long-term credential (RFC 8489 §9.2). The password is wiped when dropped and never printed.
#[derive(Clone)]
pub struct Credentials {
    username: String,
    password: Zeroizing<String>,
}

impl Credentials {
    /// A user name and its password, both put into the form of OpaqueString (RFC 8265 §4.2).
    ///
    /// What the profile refuses, such as the empty text, is taken as it is.
    // Deviation: RFC 8489 §14.3: a name that OpaqueString refuses is sent all the same: servers of
    // old standards may know it, and it is theirs to refuse.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: opaque(username.into()),
            password: Zeroizing::new(opaque(password.into())),
        }
    }

    /// The value of USERNAME.
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
