//! The checksums of messages: MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// Length of MESSAGE-INTEGRITY's value (RFC 8489 §14.5).
pub(crate) const SHA1_LEN: usize = 20;
/// Length of MESSAGE-INTEGRITY-SHA256's value when it is not truncated (RFC 8489 §14.6).
pub(crate) const SHA256_LEN: usize = 32;

/// A key with its HMAC states prepared, which saves two compressions a message. Wiped on drop,
/// never printed.
#[derive(Clone)]
pub struct IntegrityKey {
    sha1: Hmac<Sha1>,
    sha256: Hmac<Sha256>,
}

impl IntegrityKey {
    /// Prepares a key of any length: RFC 8489 §9.1.1 for short-term, §9.2.2 for long-term
    /// credentials.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self {
            sha1: Hmac::new_from_slice(key).expect("HMAC takes keys of any length"),
            sha256: Hmac::new_from_slice(key).expect("HMAC takes keys of any length"),
        }
    }

    /// HMAC-SHA1 over `before`, the message up to the attribute, with `length` in its header.
    #[inline]
    pub(crate) fn sha1(&self, before: &[u8], length: u16) -> [u8; SHA1_LEN] {
        digest(self.sha1.clone(), before, length).into()
    }

    /// HMAC-SHA256 over `before`, the message up to the attribute, with `length` in its header.
    pub(crate) fn sha256(&self, before: &[u8], length: u16) -> [u8; SHA256_LEN] {
        digest(self.sha256.clone(), before, length).into()
    }
}

impl fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKey([redacted])")
    }
}

/// The value that RFC 8489 §14.7 XORs the CRC with: "STUN" in ASCII.
const FINGERPRINT_XOR: u32 = 0x5354_554E;

/// The value of FINGERPRINT over `before`, the message up to the attribute. `length` is the length
/// for its header, which includes the attribute.
pub(crate) fn fingerprint(before: &[u8], length: u16) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&before[..2]);
    crc.update(&length.to_be_bytes());
    crc.update(&before[4..]);
    crc.finalize() ^ FINGERPRINT_XOR
}

/// Compares in constant time (H25), word by word, since the length of a MAC is a multiple of four.
/// Of a truncated MAC (RFC 8489 §14.6) it compares the bytes that are present.
#[inline]
pub(crate) fn equal(expected: &[u8], found: &[u8]) -> bool {
    let (expected, expected_rest) = expected.as_chunks::<4>();
    let (found, found_rest) = found.as_chunks::<4>();
    debug_assert!(expected_rest.is_empty() && found_rest.is_empty());
    let same = expected.iter().zip(found).fold(Choice::from(1), |same, (expected, found)| {
        same & u32::from_ne_bytes(*expected).ct_eq(&u32::from_ne_bytes(*found))
    });
    found.len() <= expected.len() && same.into()
}

#[inline]
fn digest<M: Mac>(mut mac: M, before: &[u8], length: u16) -> hmac::digest::Output<M> {
    // "The Length field of the STUN message header is adjusted to point to the end of the
    // MESSAGE-INTEGRITY attribute."
    let mut header = [0; 4];
    header[..2].copy_from_slice(&before[..2]);
    header[2..].copy_from_slice(&length.to_be_bytes());
    mac.update(&header);
    mac.update(&before[4..]);
    mac.finalize().into_bytes()
}

#[cfg(test)]
mod tests {
    use hmac::digest::zeroize::ZeroizeOnDrop;

    use super::*;

    #[test]
    fn h25_the_states_that_hold_a_key_are_wiped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<Sha1>();
        wiped::<Sha256>();
        // An HMAC consists of two such states and a buffer.
        assert!(std::mem::needs_drop::<Hmac<Sha1>>() && std::mem::needs_drop::<Hmac<Sha256>>());
    }
}
