//! The security features that a realm offers in its challenges.

use causeway_wire::attribute::PasswordAlgorithms;

/// The offers of a realm beyond MD5 keys and clear names: both only if each source of its keys can
/// serve them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Whether it offers PASSWORD-ALGORITHMS with SHA-256 before MD5: every user has both keys.
    pub sha256: bool,
    /// Whether it offers USERHASH instead of USERNAME: every user's name is known, so that a hash
    /// can be looked up.
    pub anonymity: bool,
}

impl Offers {
    /// The nonce cookie: "obMatJos2", and the 24 security-feature bits in base64 (RFC 8489 §9.2).
    // Deviation: RFC 8489 §18.1: each feature sets two bits, the first and the last for "Password
    // algorithms", the second and the last but one for "Username anonymity", since clients
    // count from either end (erratum 6290); bits 22 and 23 are assigned to nothing else.
    #[must_use]
    pub const fn cookie(self) -> &'static str {
        match (self.sha256, self.anonymity) {
            (false, false) => "obMatJos2AAAA",
            // 0x800001
            (true, false) => "obMatJos2gAAB",
            // 0x400002
            (false, true) => "obMatJos2QAAC",
            // 0xC00003
            (true, true) => "obMatJos2wAAD",
        }
    }

    /// The value of PASSWORD-ALGORITHMS "in preferential order" (RFC 8489 §9.2.4); `None` if MD5 is
    /// the only algorithm.
    #[must_use]
    pub const fn password_algorithms(self) -> Option<PasswordAlgorithms<'static>> {
        if self.sha256 { Some(PasswordAlgorithms::SHA256_MD5) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    use super::*;

    #[test]
    fn rfc8489_18_1_the_bits_are_set_as_either_reading_has_them() {
        let of = |sha256, anonymity| {
            let cookie = Offers { sha256, anonymity }.cookie();
            let bits = STANDARD_NO_PAD.decode(cookie.strip_prefix("obMatJos2").unwrap()).unwrap();
            u32::from_be_bytes([0, bits[0], bits[1], bits[2]])
        };
        assert_eq!(
            [of(false, false), of(true, false), of(false, true), of(true, true)],
            [0, 0x80_0001, 0x40_0002, 0xC0_0003]
        );
    }
}
