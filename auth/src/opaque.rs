use std::borrow::Cow;
use std::fmt;

use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::PrecisFastInvocation;

/// A text that OpaqueString takes for no username, realm or password: it is empty, or holds a character that is not allowed in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOpaque;

impl fmt::Display for NotOpaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is empty, or holds a character that RFC 8265 does not allow, such as a control character")
    }
}

impl std::error::Error for NotOpaque {}

/// A username, realm or password as both sides have to write it (RFC 8265 §4.2): other spaces become U+0020, and what can be written in several
/// ways is written in one (NFC). Upper and lower case stay what they are, and so does every text of ASCII.
///
/// # Errors
/// [`NotOpaque`].
pub fn opaque_string(text: &str) -> Result<Cow<'_, str>, NotOpaque> {
    OpaqueString::enforce(text).map_err(|_| NotOpaque)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8265_4_2_spaces_and_forms_become_one_and_case_stays() {
        for (text, opaque) in [
            ("alice", "alice"),
            ("correct horse battery staple", "correct horse battery staple"),
            ("Correct Horse Battery Staple", "Correct Horse Battery Staple"),
            ("πßå", "πßå"),
            ("Jack of ♦s", "Jack of ♦s"),
            ("foo\u{1680}bar", "foo bar"),
            ("a\u{30A}", "å"),
            ("\u{212B}", "Å"),
            (" x ", " x "),
        ] {
            assert_eq!(opaque_string(text).as_deref(), Ok(opaque), "{text:?}");
        }
    }

    #[test]
    fn rfc8265_4_2_nothing_and_control_characters_are_refused() {
        for text in ["", "my cat is a \u{9}by", "a\u{0}", "a\u{7F}", "\u{E000}\u{FFFF}", "\u{200B}"] {
            assert_eq!(opaque_string(text), Err(NotOpaque), "{text:?}");
        }
    }
}
