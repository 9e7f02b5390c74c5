//! REST secrets: time-limited credentials that a web service mints with a shared secret.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::credential::{Credential, is_unix_seconds};
use crate::key::{Algorithm, Key};
use crate::rest_name::{Minted, RestName};

/// A secret shared with the service that mints credentials: the username has the form of a
/// [`RestName`] and the password is base64 of HMAC(secret, username). The minting service chooses
/// the hash and does not say which, so both are tried.
#[derive(Clone)]
pub struct RestSecret {
    sha1: Hmac<Sha1>,
    sha256: Hmac<Sha256>,
    not_before: Option<u64>,
    not_after: Option<u64>,
}

impl RestSecret {
    /// Creates it from the bytes of the secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self {
            sha1: Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"),
            sha256: Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"),
            not_before: None,
            not_after: None,
        }
    }

    /// The same secret, whose credentials are not accepted after this second of Unix time, whatever
    /// their expiry.
    #[must_use]
    pub fn until(self, not_after: Option<u64>) -> Self {
        Self { not_after, ..self }
    }

    /// The same secret, whose credentials are not accepted before this second of Unix time.
    #[must_use]
    pub fn from(self, not_before: Option<u64>) -> Self {
        Self { not_before, ..self }
    }

    /// Whether its credentials may be accepted at `unix`, by its start.
    #[must_use]
    pub fn has_begun(&self, unix: u64) -> bool {
        self.not_before.is_none_or(|not_before| not_before <= unix)
    }

    /// The two credentials that `username` may stand for in `realm`, with keys of `algorithm`;
    /// `None` if it does not have the form.
    #[must_use]
    pub fn credentials(
        &self,
        form: RestName,
        username: &str,
        realm: &str,
        algorithm: Algorithm,
    ) -> Option<[Credential; 2]> {
        let Minted { expires, name } = form.read(username)?;
        // A number that is not Unix seconds stays unchanged, so that it is refused for that reason.
        let until = self.not_after.filter(|_| is_unix_seconds(expires));
        let expires = until.map_or(expires, |not_after| not_after.min(expires));
        let credential = |password: Zeroizing<String>| {
            Credential::expiring(
                username,
                name.clone(),
                Key::long_term(algorithm, username, realm, &password),
                expires,
            )
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
    use super::RestName::TimeName;
    use super::*;

    #[test]
    fn a_rest_username_is_an_expiry_and_a_name() {
        let secret = RestSecret::new(b"north");
        let [sha1, sha256] = secret
            .credentials(TimeName, "1800000000:alice", "example.org", Algorithm::Md5)
            .unwrap();
        assert_eq!(
            (sha1.expires(), sha1.quota_name(), sha1.username()),
            (Some(1_800_000_000), Some("alice"), "1800000000:alice")
        );
        let bytes = |credential: &Credential, algorithm| {
            credential.key(algorithm).map(|key| key.as_bytes().to_vec())
        };
        assert_ne!(bytes(&sha1, Algorithm::Md5), bytes(&sha256, Algorithm::Md5));
        for nameless in ["1800000000", "1800000000:"] {
            let credential = secret
                .credentials(TimeName, nameless, "r", Algorithm::Md5)
                .unwrap()
                .into_iter()
                .next()
                .unwrap();
            assert_eq!(
                (credential.quota_name(), credential.expires()),
                (None, Some(1_800_000_000)),
                "{nameless}: no name to count"
            );
        }
        let [other, _] = secret
            .credentials(TimeName, "1800000000:alice", "example.org", Algorithm::Sha256)
            .unwrap();
        let expected = Key::long_term_sha256("1800000000:alice", "example.org", SHA1);
        assert_eq!(
            (bytes(&other, Algorithm::Sha256).as_deref(), bytes(&other, Algorithm::Md5)),
            (Some(expected.as_bytes()), None)
        );
        for no_time in [
            "alice",
            "alice:1800000000",
            ":alice",
            "-1:alice",
            "+1800000000:alice",
            "+1800000000",
            " 1800000000:alice",
            "99999999999999999999999:alice",
            "",
        ] {
            assert!(
                secret.credentials(TimeName, no_time, "r", Algorithm::Md5).is_none(),
                "{no_time:?}"
            );
        }
    }

    #[test]
    fn the_password_is_what_other_minters_make() {
        // Computed with `printf 1800000000:alice | openssl dgst -sha1 -hmac north -binary |
        // base64`.
        assert_eq!(*RestSecret::new(b"north").password_sha1("1800000000:alice"), SHA1);
        assert_eq!(*RestSecret::new(b"north").password_sha256("1800000000:alice"), SHA256);
    }

    #[test]
    fn nothing_outlives_the_secret_that_it_was_minted_with() {
        let secret = |not_after| RestSecret::new(b"north").until(not_after);
        let expires = |not_after| {
            secret(not_after)
                .credentials(TimeName, "1800000000:alice", "r", Algorithm::Md5)
                .unwrap()[1]
                .expires()
        };
        assert_eq!(
            [None, Some(1_900_000_000), Some(7)].map(expires),
            [Some(1_800_000_000), Some(1_800_000_000), Some(7)]
        );
    }

    #[test]
    fn h49_an_expiry_in_milliseconds_is_not_cut_to_the_end_of_its_secret() {
        let secret = RestSecret::new(b"north").until(Some(1_900_000_000));
        for (expiry, expires, is_good) in [
            ("1800000000", 1_800_000_000, true),
            ("253402300799", 1_900_000_000, true),
            ("253402300800", 253_402_300_800, false),
            ("1800000000000", 1_800_000_000_000, false),
            ("18446744073709551615", u64::MAX, false),
        ] {
            for credential in secret
                .credentials(TimeName, &format!("{expiry}:alice"), "r", Algorithm::Md5)
                .unwrap()
            {
                assert_eq!(
                    (credential.expires(), credential.is_valid(1_700_000_000, 0)),
                    (Some(expires), is_good),
                    "{expiry}"
                );
            }
        }
    }

    #[test]
    fn a_secret_begins_when_it_says() {
        let begun =
            |not_before| RestSecret::new(b"north").from(not_before).has_begun(1_800_000_000);
        assert_eq!(
            [None, Some(1_800_000_000), Some(1_800_000_001)].map(begun),
            [true, true, false]
        );
    }

    const SHA1: &str = "sIm7pn/teO7y3AyXGeXl/xAQR6Q=";
    const SHA256: &str = "/r5Q7atDmSNNbxP/hfNXBc4pnphZeap0qTpyCpx+nc4=";
}
