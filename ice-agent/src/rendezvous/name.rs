//! The name of a room, as two people would tell it to each other.

use std::fmt;
use std::str::FromStr;

/// Longest name in characters.
const MAX_LENGTH: usize = 64;

/// A name of 1 to 64 ASCII letters, digits, `-`, `_` and `.`: safe in a URL, a log and a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoomName(String);

/// The text has another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a room's name is 1 to 64 letters, digits, `-`, `_` or `.`")]
pub struct BadRoomName;

impl FromStr for RoomName {
    type Err = BadRoomName;

    fn from_str(text: &str) -> Result<Self, BadRoomName> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        // "." and ".." are path segments to every HTTP client.
        if (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(allowed) && !text.bytes().all(|b| b == b'.') {
            Ok(Self(text.into()))
        } else {
            Err(BadRoomName)
        }
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_in_a_path_is_a_name() {
        for good in ["a", "standup-7", "A_b.c", &"x".repeat(64)] {
            assert_eq!(good.parse::<RoomName>().unwrap().to_string(), good);
        }
        for bad in ["", ".", "..", "a/b", "a b", "é", "a\n", "%41", &"x".repeat(65)] {
            assert_eq!(bad.parse::<RoomName>(), Err(BadRoomName), "{bad:?}");
        }
    }
}
