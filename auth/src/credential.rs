//! The credential of a user: name, keys, expiry, and the name that quotas count.

use std::fmt;

use causeway_wire::IntegrityKey;

use crate::key::{Algorithm, Key};
use crate::opaque::{NotOpaque, opaque_string};

/// A user with the keys that prove a request: at least one, and at most one for each algorithm. All
/// allocations of the user share it.
#[derive(Clone)]
pub struct Credential {
    username: Box<str>,
    quota_name: std::ops::Range<usize>,
    keys: [Option<Ready>; 2],
    expires: Option<u64>,
}

/// A key with its prepared state for message integrity.
#[derive(Clone)]
struct Ready {
    key: Key,
    integrity: IntegrityKey,
}

impl Credential {
    /// A user with one key and no expiry.
    #[must_use]
    pub fn new(username: &str, key: Key) -> Self {
        Self {
            username: username.into(),
            quota_name: 0..username.len(),
            keys: [None, None],
            expires: None,
        }
        .with_key(key)
    }

    /// A user with a known password: both keys, derived from the forms that OpaqueString gives the
    /// three texts (RFC 8489 §9.2.2).
    ///
    /// # Errors
    /// [`NotOpaque`] if the profile refuses one of the three texts.
    pub fn with_password(username: &str, realm: &str, password: &str) -> Result<Self, NotOpaque> {
        let (username, realm, password) =
            (opaque_string(username)?, opaque_string(realm)?, opaque_string(password)?);
        let md5 = Key::long_term_md5(&username, &realm, &password);
        Ok(Self::new(&username, md5).with_key(Key::long_term_sha256(&username, &realm, &password)))
    }

    /// A user whose name states its expiry. `quota_name` is the range of `username` that names the
    /// person; empty if there is none.
    #[must_use]
    pub fn expiring(
        username: &str,
        quota_name: std::ops::Range<usize>,
        key: Key,
        expires: u64,
    ) -> Self {
        Self { quota_name, expires: Some(expires), ..Self::new(username, key) }
    }

    /// The same user with this key as well, which replaces one of the same algorithm.
    #[must_use]
    pub fn with_key(mut self, key: Key) -> Self {
        let place = place(key.algorithm());
        self.keys[place] = Some(Ready { integrity: key.integrity_key(), key });
        self
    }

    /// The user name, as USERNAME carries it.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The name that quotas count: without the expiry of a REST credential, so that another
    /// credential yields no more quota. `None` for a REST credential without a name: it is no user,
    /// and the limits of prefixes bound it.
    #[must_use]
    pub fn quota_name(&self) -> Option<&str> {
        Some(self.username.get(self.quota_name.clone()).unwrap_or(&self.username))
            .filter(|name| !name.is_empty())
    }

    /// The holder of the ports that it reserves: the name that quotas count, or the username if
    /// there is none.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.quota_name().unwrap_or(&self.username)
    }

    /// The range of the quota name within the username.
    #[must_use]
    pub fn quota_range(&self) -> std::ops::Range<usize> {
        self.quota_name.clone()
    }

    /// The long-term key of this algorithm, for a store that encrypts it.
    #[must_use]
    pub fn key(&self, algorithm: Algorithm) -> Option<&Key> {
        self.keys[place(algorithm)].as_ref().map(|ready| &ready.key)
    }

    /// The key of this algorithm, prepared for message integrity.
    #[must_use]
    pub fn integrity(&self, algorithm: Algorithm) -> Option<&IntegrityKey> {
        self.keys[place(algorithm)].as_ref().map(|ready| &ready.integrity)
    }

    /// The Unix time in seconds after which the credential is no longer valid; `None` for no
    /// expiry.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// Whether it is valid at `unix`, with `grace` seconds more (H16). An expiry that cannot be
    /// Unix seconds is never valid (H49).
    #[must_use]
    pub fn is_valid(&self, unix: u64, grace: u64) -> bool {
        self.expires
            .is_none_or(|expires| is_unix_seconds(expires) && unix <= expires.saturating_add(grace))
    }
}

/// Whether a number can be a Unix time in seconds: before the year 10000. As milliseconds, the same
/// number is a day of 1978, so no present time in milliseconds passes.
#[must_use]
pub const fn is_unix_seconds(time: u64) -> bool {
    time < 253_402_300_800
}

fn place(algorithm: Algorithm) -> usize {
    usize::from(algorithm == Algorithm::Sha256)
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("username", &self.username)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8489_9_2_2_username_realm_and_password_are_opaque_strings() {
        let composed =
            Credential::with_password("J\u{FC}rgen", "b\u{FC}cher.example", "gr\u{FC}n\u{20}tee")
                .unwrap();
        let decomposed = Credential::with_password(
            "Ju\u{308}rgen",
            "bu\u{308}cher.example",
            "gru\u{308}n\u{3000}tee",
        )
        .unwrap();
        assert_eq!(composed.username(), decomposed.username());
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let bytes =
                |credential: &Credential| credential.key(algorithm).unwrap().as_bytes().to_vec();
            assert_eq!(bytes(&composed), bytes(&decomposed));
            let expected =
                Key::long_term(algorithm, "J\u{FC}rgen", "b\u{FC}cher.example", "gr\u{FC}n tee");
            assert_eq!(bytes(&composed), expected.as_bytes());
        }
        for (username, realm, password) in [
            ("", "r", "p"),
            ("u", "", "p"),
            ("u", "r", ""),
            ("u\u{7}", "r", "p"),
            ("u", "r", "p\n"),
        ] {
            assert_eq!(Credential::with_password(username, realm, password).err(), Some(NotOpaque));
        }
    }

    #[test]
    fn a_user_has_one_key_an_algorithm() {
        let one = Credential::new("u", Key::long_term_sha256("u", "r", "p"));
        assert!(one.key(Algorithm::Md5).is_none() && one.integrity(Algorithm::Md5).is_none());
        let both = one
            .with_key(Key::long_term_md5("u", "r", "old"))
            .with_key(Key::long_term_md5("u", "r", "new"));
        assert_eq!(
            both.key(Algorithm::Md5).unwrap().as_bytes(),
            Key::long_term_md5("u", "r", "new").as_bytes()
        );
        assert!(both.integrity(Algorithm::Sha256).is_some());
    }

    #[test]
    fn h25_no_key_is_printed() {
        let shown = format!("{:?}", Credential::with_password("u", "r", "p").unwrap());
        assert_eq!(shown, "Credential { username: \"u\", expires: None, .. }");
    }
}
