use std::fmt;

use causeway_auth::Key;
use causeway_wire::IntegrityKey;
use zeroize::Zeroizing;

/// A long-term credential (RFC 8489 §9.2). The password is wiped when dropped and never printed.
#[derive(Clone)]
pub struct Credentials {
    username: String,
    password: Zeroizing<String>,
}

impl Credentials {
    /// A user name and its password.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), password: Zeroizing::new(password.into()) }
    }

    /// The value of USERNAME.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The key for a realm, made of MD5 (RFC 8489 §9.2.2).
    pub(crate) fn key(&self, realm: &str) -> IntegrityKey {
        Key::long_term_md5(&self.username, realm, &self.password).integrity_key()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h25_a_password_is_never_printed() {
        assert!(!format!("{:?}", Credentials::new("user", "s3cret")).contains("s3cret"));
    }
}
