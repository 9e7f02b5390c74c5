//! Long-term keys and the algorithms that derive them.

use std::fmt;

use causeway_wire::IntegrityKey;
use causeway_wire::attribute::PasswordAlgorithmEntry;
use md5::{Digest, Md5};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The algorithm that derives a long-term key (RFC 8489 §18.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// MD5, 16 bytes, for clients that know no other algorithm.
    Md5,
    /// SHA-256, a key of 32 bytes.
    Sha256,
}

impl Algorithm {
    /// The number in PASSWORD-ALGORITHM (RFC 8489 §18.5).
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Md5 => 1,
            Self::Sha256 => 2,
        }
    }

    /// The algorithm that an entry names; `None` for an unknown one, or with parameters, which
    /// neither of ours has.
    #[must_use]
    pub fn of(entry: &PasswordAlgorithmEntry<'_>) -> Option<Self> {
        [Self::Md5, Self::Sha256]
            .into_iter()
            .find(|algorithm| algorithm.number() == entry.algorithm && entry.parameters.is_empty())
    }
}

/// A long-term key, by its algorithm (RFC 8489 §18.5.1). Wiped on drop, never printed (H25).
#[derive(Clone)]
pub enum Key {
    /// 16 bytes, derived with MD5 (RFC 8489 §18.5.1.1).
    Md5(Zeroizing<[u8; 16]>),
    /// 32 bytes, derived with SHA-256 (RFC 8489 §18.5.1.2).
    Sha256(Zeroizing<[u8; 32]>),
}

impl Key {
    /// `H(username ":" realm ":" password)`, where H is the algorithm's hash. The caller passes all
    /// three as [`crate::opaque_string`] returns them, which leaves ASCII without control
    /// characters unchanged.
    #[must_use]
    pub fn long_term(algorithm: Algorithm, username: &str, realm: &str, password: &str) -> Self {
        match algorithm {
            Algorithm::Md5 => Self::long_term_md5(username, realm, password),
            Algorithm::Sha256 => Self::long_term_sha256(username, realm, password),
        }
    }

    /// `MD5(username ":" realm ":" password)` (RFC 8489 §18.5.1.1).
    #[must_use]
    pub fn long_term_md5(username: &str, realm: &str, password: &str) -> Self {
        Self::Md5(Zeroizing::new(digest::<Md5>(username, realm, password).into()))
    }

    /// `SHA-256(username ":" realm ":" password)` (RFC 8489 §18.5.1.2).
    #[must_use]
    pub fn long_term_sha256(username: &str, realm: &str, password: &str) -> Self {
        Self::Sha256(Zeroizing::new(digest::<Sha256>(username, realm, password).into()))
    }

    /// A key that was derived before: the 16 bytes of MD5. `None` for any other length.
    #[must_use]
    pub fn from_md5(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self::Md5(Zeroizing::new(bytes)))
    }

    /// A key that was derived before: the 32 bytes of SHA-256. `None` for any other length.
    #[must_use]
    pub fn from_sha256(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self::Sha256(Zeroizing::new(bytes)))
    }

    /// The algorithm that derived it.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Md5(_) => Algorithm::Md5,
            Self::Sha256(_) => Algorithm::Sha256,
        }
    }

    /// The key, prepared for message integrity.
    #[must_use]
    pub fn integrity_key(&self) -> IntegrityKey {
        IntegrityKey::new(self.as_bytes())
    }

    /// The bytes of the key, for a store that encrypts them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Md5(bytes) => &bytes[..],
            Self::Sha256(bytes) => &bytes[..],
        }
    }
}

fn digest<D: Digest>(username: &str, realm: &str, password: &str) -> md5::digest::Output<D> {
    D::new()
        .chain_update(username)
        .chain_update(":")
        .chain_update(realm)
        .chain_update(":")
        .chain_update(password)
        .finalize()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key::{:?}([redacted])", self.algorithm())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8489_9_2_2_the_example_of_the_text() {
        // "if the username is 'user', the realm is 'realm', and the password is 'pass'" the key is
        // this.
        let expected = [
            0x84, 0x93, 0xfb, 0xc5, 0x3b, 0xa5, 0x82, 0xfb, 0x4c, 0x04, 0x4c, 0x45, 0x6b, 0xdc,
            0x40, 0xeb,
        ];
        assert_eq!(Key::long_term(Algorithm::Md5, "user", "realm", "pass").as_bytes(), expected);
    }

    #[test]
    fn rfc8489_18_5_1_2_a_key_of_32_bytes() {
        // Computed with `printf user:realm:pass | openssl dgst -sha256`.
        let expected = [
            0x07, 0xe9, 0x34, 0x11, 0x7a, 0xbd, 0x40, 0x83, 0x6e, 0x7c, 0x63, 0x29, 0xb5, 0x47,
            0x31, 0xb2, 0xb2, 0xd2, 0xa5, 0xf9, 0xa7, 0x1f, 0x54, 0x49, 0x22, 0xd7, 0x5e, 0x07,
            0x30, 0xd8, 0x25, 0x1b,
        ];
        assert_eq!(Key::long_term(Algorithm::Sha256, "user", "realm", "pass").as_bytes(), expected);
    }

    #[test]
    fn a_key_that_was_computed_before_has_its_algorithms_length() {
        let lengths = |from: fn(&[u8]) -> Option<Key>| {
            [0, 15, 16, 17, 31, 32, 33].map(|length| from(&vec![7; length]).is_some())
        };
        assert_eq!(lengths(Key::from_md5), [false, false, true, false, false, false, false]);
        assert_eq!(lengths(Key::from_sha256), [false, false, false, false, false, true, false]);
    }

    #[test]
    fn h25_a_key_is_never_printed() {
        let key = Key::long_term_md5("user", "realm", "pass");
        assert_eq!(
            format!("{key:?} {:?}", key.integrity_key()),
            "Key::Md5([redacted]) IntegrityKey([redacted])"
        );
        assert_eq!(
            format!("{:?}", Key::long_term_sha256("user", "realm", "pass")),
            "Key::Sha256([redacted])"
        );
    }
}
