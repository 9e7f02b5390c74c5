//! The user and the long-term key of an allocation, as the record holds them.

use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

/// The algorithm of a long-term key (RFC 8489 §18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum KeyAlgorithm {
    /// MD5: keys of 16 bytes.
    Md5 = 1,
    /// SHA-256: keys of 32 bytes.
    Sha256 = 2,
}

impl KeyAlgorithm {
    /// The length of its keys in bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha256 => 32,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Md5),
            2 => Some(Self::Sha256),
            _ => None,
        }
    }
}

/// A long-term key. Wiped when dropped, never printed (H25).
#[derive(Clone, PartialEq, Eq)]
pub struct LongTermKey {
    algorithm: KeyAlgorithm,
    bytes: Zeroizing<Vec<u8>>,
}

impl LongTermKey {
    /// Returns `None` if the length is not that of the algorithm.
    #[must_use]
    pub fn new(algorithm: KeyAlgorithm, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == algorithm.key_len())
            .then(|| Self { algorithm, bytes: Zeroizing::new(bytes.to_vec()) })
    }

    /// The algorithm of the key.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for LongTermKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LongTermKey({:?} [redacted])", self.algorithm)
    }
}

/// The user of an allocation, and the key that authenticates its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The value of USERNAME.
    pub username: String,
    /// The bytes of `username` that name the user for quotas.
    pub quota_name: Range<usize>,
    /// The long-term key of the user.
    pub key: LongTermKey,
    /// Unix time in seconds at which the credential expires; `None` for never.
    pub expires: Option<u64>,
}
