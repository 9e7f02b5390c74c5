//! The id of a room in a URL: a number that cannot be guessed.

use std::fmt;
use std::str::FromStr;

/// The id of a room: 128 bits that agents derive from their shared secret, as 32 hexadecimal
/// digits. The rendezvous learns nothing else about the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoomId(pub u128);

/// The text is not a room id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a room's id is 32 hexadecimal digits in lower case")]
pub struct BadRoomId;

impl FromStr for RoomId {
    type Err = BadRoomId;

    fn from_str(text: &str) -> Result<Self, BadRoomId> {
        let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(BadRoomId);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| BadRoomId)
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_32_digits_and_has_one_form() {
        let text = "00112233445566778899aabbccddeeff";
        assert_eq!(text.parse::<RoomId>().unwrap().to_string(), text);
        for bad in [
            "",
            "blue",
            &text[1..],
            "+0112233445566778899aabbccddeeff",
            &text.to_uppercase(),
            &format!("{text}0"),
        ] {
            assert_eq!(bad.parse::<RoomId>(), Err(BadRoomId), "{bad:?}");
        }
    }
}
