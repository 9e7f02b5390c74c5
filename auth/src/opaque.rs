//! The OpaqueString profile for usernames, realms and passwords.

use std::borrow::Cow;
use std::fmt;

use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::{Profile, Rules};
use precis_profiles::precis_core::{DerivedPropertyValue, FreeformClass, StringClass};

/// A text that OpaqueString refuses as a username, realm or password: it is empty, or has a
/// character that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOpaque;

impl fmt::Display for NotOpaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "it is empty, or holds a character that RFC 8265 does not allow, such as a control \
             character",
        )
    }
}

impl std::error::Error for NotOpaque {}

/// Converts a username, realm or password to the form that both sides use (RFC 8265 §4.2): other
/// spaces become U+0020, and characters with several encodings get one (NFC). Case is kept, and
/// every ASCII text is unchanged.
///
/// # Errors
/// [`NotOpaque`].
pub fn opaque_string(text: &str) -> Result<Cow<'_, str>, NotOpaque> {
    let profile = OpaqueString::new();
    profile.prepare(known(text)).map_err(|_| NotOpaque)?;
    let mapped = profile.additional_mapping_rule(text).map_err(|_| NotOpaque)?;
    profile.normalization_rule(mapped).map_err(|_| NotOpaque)
}

/// The text with a symbol in place of each character that the tables of the profile do not know.
// Deviation: RFC 8265 §4.2.1: a code point that was not assigned when the tables were made, such as
// many an emoji, is allowed: its present property, if any, is unknown, and a name or password that
// worked goes on working.
fn known(text: &str) -> Cow<'_, str> {
    let class = FreeformClass::default();
    let is_unassigned =
        |letter: char| class.get_value_from_char(letter) == DerivedPropertyValue::Unassigned;
    if text.contains(is_unassigned) {
        text.replace(is_unassigned, "\u{2600}").into()
    } else {
        text.into()
    }
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
            ("Zoe\u{308} 🦊", "Zoë 🦊"),
        ] {
            assert_eq!(opaque_string(text).as_deref(), Ok(opaque), "{text:?}");
            assert_eq!(opaque_string(opaque).as_deref(), Ok(opaque), "done twice");
        }
    }

    #[test]
    fn rfc8265_4_2_nothing_and_control_characters_are_refused() {
        for text in [
            "",
            "my cat is a \u{9}by",
            "a\u{0}",
            "a\u{7F}",
            "\u{FFFF}",
            "\u{200B}",
            "🦊\u{7}",
            "a\u{200D}🦊",
        ] {
            assert_eq!(opaque_string(text), Err(NotOpaque), "{text:?}");
        }
    }
}
