/// "obMatJos2", in front of the base64 of the 24 security-feature bits (RFC 8489 §9.2).
const COOKIE: &str = "obMatJos2";

/// The security features that a nonce tells of.
// Deviation: RFC 8489 §18.1: a feature is taken to be set if its bit is, counted from the left or
// from the right: erratum 6290 has servers of both readings about, and no feature stands where the
// other reading of another one does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) password_algorithms: bool,
    pub(super) username_anonymity: bool,
}

impl Features {
    /// Reads the nonce cookie; without one there are none.
    pub(super) fn of(nonce: &str) -> Self {
        let Some(letters) =
            nonce.strip_prefix(COOKIE).and_then(|rest| rest.as_bytes().first_chunk::<4>())
        else {
            return Self::default();
        };
        let bits = letters
            .iter()
            .try_fold(0u32, |bits, letter| Some(bits << 6 | sextet(*letter)?))
            .unwrap_or(0);
        Self {
            password_algorithms: bits & 0x80_0001 != 0,
            username_anonymity: bits & 0x40_0002 != 0,
        }
    }
}

/// The six bits of a letter of base64.
fn sextet(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
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
