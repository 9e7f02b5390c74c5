//! The content of a secret's file: one line.

use std::fmt;

/// Why a file does not hold one secret. The content is never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSecret {
    /// It is empty, or has a line end only.
    Empty,
    /// It starts with a byte-order mark.
    ByteOrderMark,
    /// It is encoded as UTF-16.
    Utf16,
    /// It is not UTF-8 text.
    NotText,
    /// It has more than one line: their number.
    Lines(usize),
    /// It has a control character, such as a tab.
    Control,
    /// It starts or ends with a blank.
    Blank,
}

impl fmt::Display for BadSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadSecret::Empty => f.write_str("is empty; write the secret into it"),
            BadSecret::ByteOrderMark => {
                f.write_str("starts with a byte-order mark; save it as UTF-8 without one")
            }
            BadSecret::Utf16 => f.write_str("is UTF-16; save it as UTF-8"),
            BadSecret::NotText => f.write_str(
                "is not UTF-8 text; write the secret as text, such as `openssl rand -hex 32` prints",
            ),
            BadSecret::Lines(number) => write!(
                f,
                "has {number} lines; a secret is one line with at most one line end"
            ),
            BadSecret::Control => {
                f.write_str("holds a control character (a tab, for instance); take it out")
            }
            BadSecret::Blank => f.write_str("starts or ends with a blank; take it away"),
        }
    }
}

impl std::error::Error for BadSecret {}

/// Returns the secret in a file's `bytes`: one line of text, without its line end, if there is one;
/// otherwise unchanged.
///
/// # Errors
/// [`BadSecret`].
pub fn secret_line(bytes: &[u8]) -> Result<&str, BadSecret> {
    if bytes.starts_with(&[0xEF, 0xBB, 0xBF]) {
        return Err(BadSecret::ByteOrderMark);
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(BadSecret::Utf16);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| BadSecret::NotText)?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if line.contains(['\n', '\r']) {
        return Err(BadSecret::Lines(text.lines().count()));
    }
    if line.is_empty() {
        return Err(BadSecret::Empty);
    }
    if line.contains(char::is_control) {
        return Err(BadSecret::Control);
    }
    if line.starts_with(char::is_whitespace) || line.ends_with(char::is_whitespace) {
        return Err(BadSecret::Blank);
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h56_a_secret_is_one_line_and_nothing_of_it_is_changed() {
        for (bytes, expected) in [
            (&b"s3cret"[..], Ok("s3cret")),
            (b"s3cret\n", Ok("s3cret")),
            (b"s3cret\r\n", Ok("s3cret")),
            ("gr\u{fc}n tee\n".as_bytes(), Ok("gr\u{fc}n tee")),
            (b"", Err(BadSecret::Empty)),
            (b"\r\n", Err(BadSecret::Empty)),
            (b"s3cret\n\n", Err(BadSecret::Lines(2))),
            (b"s3cret\nold\n", Err(BadSecret::Lines(2))),
            (b"s3cret\r", Err(BadSecret::Lines(1))),
            (b"\xEF\xBB\xBFs3cret\n", Err(BadSecret::ByteOrderMark)),
            (b"\xFF\xFEs\x003\x00", Err(BadSecret::Utf16)),
            (b"s3cret \n", Err(BadSecret::Blank)),
            (b" s3cret", Err(BadSecret::Blank)),
            ("s3cret\u{a0}".as_bytes(), Err(BadSecret::Blank)),
            (b"s3\tcret", Err(BadSecret::Control)),
            (b"s3\0cret", Err(BadSecret::Control)),
            (b"s3\xFFcret", Err(BadSecret::NotText)),
        ] {
            assert_eq!(secret_line(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn h56_the_message_shows_no_secret() {
        for bytes in [&b"hunter2\nhunter2"[..], b" hunter2", b"hunter2\xFF", b"hunter2\t"] {
            let message = secret_line(bytes).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
