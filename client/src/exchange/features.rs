//! The security features that a server announces at the start of its nonce.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The nonce cookie, which precedes the base64 of the 24 security-feature bits (RFC 8489 §9.2).
const COOKIE: &str = "obMatJos2";

/// The security features that a nonce announces.
// Deviation: RFC 8489 §18.1: a feature is taken as set if its bit is set, counted from the left or
// from the right: by erratum 6290 there are servers of both readings, and no feature's bit is that
// of another feature in the other reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) password_algorithms: bool,
    pub(super) username_anonymity: bool,
}

impl Features {
    /// Reads the nonce cookie; a nonce without one announces no features.
    pub(super) fn of(nonce: &str) -> Self {
        let Some(letters) =
            nonce.strip_prefix(COOKIE).and_then(|rest| rest.as_bytes().first_chunk::<4>())
        else {
            return Self::default();
        };
        let mut bits = [0; 4];
        if STANDARD_NO_PAD.decode_slice(letters, &mut bits[1..]).is_err() {
            return Self::default();
        }
        let bits = u32::from_be_bytes(bits);
        Self {
            password_algorithms: bits & 0x80_0001 != 0,
            username_anonymity: bits & 0x40_0002 != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8489_18_1_the_bits_are_read_from_both_ends() {
        let of = |nonce| {
            let features = Features::of(nonce);
            (features.password_algorithms, features.username_anonymity)
        };
        assert_eq!(of("obMatJos2AAAAxyz"), (false, false));
        assert_eq!(of("obMatJos2gAAAxyz"), (true, false), "0x800000");
        assert_eq!(of("obMatJos2AAABxyz"), (true, false), "0x000001");
        assert_eq!(of("obMatJos2gAABxyz"), (true, false), "0x800001");
        assert_eq!(of("obMatJos2QAAAxyz"), (false, true), "0x400000");
        assert_eq!(of("obMatJos2AAACxyz"), (false, true), "0x000002");
        assert_eq!(of("obMatJos2wAADxyz"), (true, true), "0xC00003");
        assert_eq!(of("obMatJos2wA"), (false, false), "no cookie: too short");
        assert_eq!(of("obMatJos2g*AA"), (false, false), "no cookie: no base64");
        assert_eq!(of("4ca1e"), (false, false));
    }
}
