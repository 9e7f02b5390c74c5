use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::credential::Credential;
use crate::key::Key;

/// A secret shared with the service that mints credentials: the username is `expiry:name` (Unix seconds; the name may be missing) and the
/// password is base64 of HMAC(secret, username). The minting service chooses the hash and does not say which, so both are tried.
#[derive(Clone)]
pub struct RestSecret {
    sha1: Hmac<Sha1>,
    sha256: Hmac<Sha256>,
    not_after: Option<u64>,
}

impl RestSecret {
    /// From the secret's bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self {
            sha1: Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"),
            sha256: Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"),
            not_after: None,
        }
    }

    /// The same secret, of which nothing is taken after this second of Unix time, whatever was minted with it.
    #[must_use]
    pub fn until(self, not_after: Option<u64>) -> Self {
        Self { not_after, ..self }
    }

    /// The two credentials that `username` may stand for in `realm`; `None` when it does not begin with a time.
    #[must_use]
    pub fn credentials(&self, username: &str, realm: &str) -> Option<[Credential; 2]> {
        let (expires, name) = match username.split_once(':') {
            Some((expiry, name)) => (expiry.parse().ok()?, username.len() - name.len()..username.len()),
            None => (username.parse().ok()?, 0..username.len()),
        };
        let expires = self.not_after.map_or(expires, |not_after| not_after.min(expires));
        let credential = |password: Zeroizing<String>| {
            Credential::expiring(username, name.clone(), Key::long_term_md5(username, realm, &password), expires)
        };
        Some([credential(self.password_sha1(username)), credential(self.password_sha256(username))])
    }

    /// The password for `username` by HMAC-SHA1, as nearly every service mints it.
    #[must_use]
    pub fn password_sha1(&self, username: &str) -> Zeroizing<String> {
        let mac = self.sha1.clone().chain_update(username.as_bytes()).finalize();
        Zeroizing::new(STANDARD.encode(mac.into_bytes()))
    }

    /// The password for `username` by HMAC-SHA256.
    #[must_use]
    pub fn password_sha256(&self, username: &str) -> Zeroizing<String> {
        let mac = self.sha256.clone().chain_update(username.as_bytes()).finalize();
        Zeroizing::new(STANDARD.encode(mac.into_bytes()))
    }
}

impl fmt::Debug for RestSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RestSecret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_username_is_an_expiry_and_a_name() {
        let secret = RestSecret::new(b"north");
        let [sha1, sha256] = secret.credentials("1800000000:alice", "example.org").unwrap();
        assert_eq!((sha1.expires(), sha1.quota_name(), sha1.username()), (Some(1_800_000_000), "alice", "1800000000:alice"));
        assert_ne!(sha1.key().as_bytes(), sha256.key().as_bytes());
        assert_eq!(secret.credentials("1800000000", "r").unwrap()[0].quota_name(), "1800000000");
        for no_time in ["alice", "alice:1800000000", ":alice", "-1:alice", "99999999999999999999999:alice", ""] {
            assert!(secret.credentials(no_time, "r").is_none(), "{no_time:?}");
        }
    }

    #[test]
    fn the_password_is_what_other_minters_make() {
        // Computed with `printf 1800000000:alice | openssl dgst -sha1 -hmac north -binary | base64`.
        assert_eq!(*RestSecret::new(b"north").password_sha1("1800000000:alice"), SHA1);
        assert_eq!(*RestSecret::new(b"north").password_sha256("1800000000:alice"), SHA256);
    }

    #[test]
    fn nothing_outlives_the_secret_that_it_was_minted_with() {
        let expires = |not_after| RestSecret::new(b"north").until(not_after).credentials("1800000000:alice", "r").unwrap()[1].expires();
        assert_eq!([None, Some(1_900_000_000), Some(7)].map(expires), [Some(1_800_000_000), Some(1_800_000_000), Some(7)]);
    }

    const SHA1: &str = "sIm7pn/teO7y3AyXGeXl/xAQR6Q=";
    const SHA256: &str = "/r5Q7atDmSNNbxP/hfNXBc4pnphZeap0qTpyCpx+nc4=";
}
