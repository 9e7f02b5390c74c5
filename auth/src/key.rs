use std::fmt;

use causeway_wire::IntegrityKey;
use md5::{Digest, Md5};
use zeroize::Zeroizing;

/// A long-term key, by the algorithm that made it (RFC 8489 §18.5). Wiped when dropped, never printed (H25).
#[derive(Clone)]
#[non_exhaustive]
pub enum Key {
    /// RFC 8489 §9.2.2 with algorithm 1: MD5 of username, realm and password joined by colons.
    Md5(Zeroizing<[u8; 16]>),
}

impl Key {
    /// `MD5(username ":" realm ":" password)` (RFC 8489 §18.5.1.1). All three as OpaqueString leaves them (RFC 8265 §4.2), which for ASCII
    /// without control characters is as they are.
    #[must_use]
    pub fn long_term_md5(username: &str, realm: &str, password: &str) -> Self {
        let digest = Md5::new().chain_update(username).chain_update(":").chain_update(realm).chain_update(":").chain_update(password);
        Self::Md5(Zeroizing::new(digest.finalize().into()))
    }

    /// A key that was computed before: the 16 bytes of MD5. `None` for any other length.
    #[must_use]
    pub fn from_md5(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self::Md5(Zeroizing::new(bytes)))
    }

    /// The key made ready for message integrity.
    #[must_use]
    pub fn integrity_key(&self) -> IntegrityKey {
        match self {
            Self::Md5(bytes) => IntegrityKey::new(&bytes[..]),
        }
    }

    /// The key's bytes, for a store that seals them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Md5(bytes) => &bytes[..],
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Md5(_) => f.write_str("Key::Md5([redacted])"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8489_9_2_2_the_example_of_the_text() {
        // "if the username was 'user', the realm was 'realm', and the password was 'pass'" the key is this.
        let expected = [0x84, 0x93, 0xfb, 0xc5, 0x3b, 0xa5, 0x82, 0xfb, 0x4c, 0x04, 0x4c, 0x45, 0x6b, 0xdc, 0x40, 0xeb];
        assert_eq!(Key::long_term_md5("user", "realm", "pass").as_bytes(), expected);
    }

    #[test]
    fn h25_a_key_is_never_printed() {
        let key = Key::long_term_md5("user", "realm", "pass");
        assert_eq!(format!("{key:?} {:?}", key.integrity_key()), "Key::Md5([redacted]) IntegrityKey([redacted])");
    }
}
