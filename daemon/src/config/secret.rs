//! Secrets, from a value or a file: wiped when dropped, never printed.

use std::fmt;
use std::path::Path;

use causeway_cli::BadSecret;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::error::Problem;
use super::file::read_bytes_bounded;

/// The newtype name by which [`Secret`] asks the deserializer not to quote its value in an error.
pub(super) const SECRET: &str = "$causeway::Secret";

/// Maximum size of a file with a secret, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// A password, a shared secret or a token.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes the text of a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself, only for the code that computes with it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads a secret from a file with one line of text ([`causeway_cli::secret_line`]).
    ///
    /// # Errors
    /// Names the file, the fault and the remedy.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let bytes = read_bytes_bounded(path, MAX_FILE)?;
        match causeway_cli::secret_line(&bytes) {
            Ok(line) => Ok(Secret(line.to_owned())),
            Err(error) => Err(format!("{} {error}", path.display())),
        }
    }
}

/// The bytes of a file with a key: the line of text, as in any file with a secret; or all bytes of
/// a file that is not text.
///
/// # Errors
/// The file cannot be read, or its text is not a secret.
pub fn key_from_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let bytes = read_bytes_bounded(path, MAX_FILE)?;
    match causeway_cli::secret_line(&bytes) {
        Ok(line) => Ok(Zeroizing::new(line.as_bytes().to_vec())),
        // Random bytes: nearly every key contains some that text does not have.
        Err(BadSecret::NotText | BadSecret::Control | BadSecret::Utf16) => Ok(bytes),
        Err(error) => Err(format!("{} {error}", path.display())),
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret(text.to_owned()))
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                inner: D,
            ) -> Result<Secret, D::Error> {
                inner.deserialize_str(Text)
            }
        }
        deserializer.deserialize_newtype_struct(SECRET, Text)
    }
}

/// The secret of the pair `key` and `key_file`; `None` if neither is set. `key` is the full dotted
/// key.
///
/// # Errors
/// Both are set, the value is empty or contains a control character, or the file does not contain a
/// secret. The problem names the key at fault.
pub fn one_of(
    key: &str,
    value: Option<Secret>,
    file: Option<&Path>,
) -> Result<Option<Secret>, Problem> {
    match (value, file) {
        (Some(_), Some(_)) => {
            Err(Problem::new(key, format!("{key}_file is given, too")).hint("keep one of the two"))
        }
        (Some(value), None) => well_formed(key, value).map(Some),
        (None, Some(path)) => Secret::from_file(path)
            .map(Some)
            .map_err(|error| Problem::new(format!("{key}_file"), error)),
        (None, None) => Ok(None),
    }
}

/// Checks a value that was written in the configuration. A line end is a mistake in the variable
/// that it came from; no client sends one.
fn well_formed(key: &str, value: Secret) -> Result<Secret, Problem> {
    if value.0.is_empty() {
        return Err(Problem::new(key, "the value is empty")
            .hint(format!("write a value, or set {key}_file")));
    }
    if value.0.contains(char::is_control) {
        let what = "the value contains a control character, such as a line end";
        return Err(Problem::new(key, what).hint("remove it"));
    }
    Ok(value)
}

/// As [`one_of`], but one of the two is required.
///
/// # Errors
/// As [`one_of`], and if neither is set.
pub fn required_one_of(
    key: &str,
    value: Option<Secret>,
    file: Option<&Path>,
) -> Result<Secret, Problem> {
    one_of(key, value, file)?.ok_or_else(|| missing(key))
}

/// The problem that neither key of a required pair is set.
pub fn missing(key: &str) -> Problem {
    Problem::new(key, format!("neither {key} nor {key}_file is given")).hint("set one of the two")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h42_debug_shows_no_secret() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(secret.clone())), "[redacted] Some([redacted])");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_pair_is_exactly_one() {
        let scratch = causeway_kit::Scratch::new();
        let file = scratch.path("secret");
        let refused = |value: Option<&str>, file: Option<&Path>| {
            one_of("a.password", value.map(Secret::new), file).unwrap_err().to_string()
        };
        std::fs::write(&file, "from a file\r\n").unwrap();
        assert_eq!(
            required_one_of("a.password", None, Some(&file)).unwrap().expose(),
            "from a file"
        );
        let both = refused(Some("x"), Some(&file));
        assert_eq!(both, "a.password: a.password_file is given, too; keep one of the two");
        std::fs::write(&file, "\n").unwrap();
        assert!(refused(None, Some(&file)).contains("is empty"));
        std::fs::write(&file, "x".repeat(100_000)).unwrap();
        assert!(refused(None, Some(&file)).contains("more than"));
        std::fs::remove_file(&file).unwrap();
        let missing = refused(None, Some(&file));
        assert!(missing.starts_with("a.password_file: cannot read"), "{missing}");
        assert!(missing.contains(&file.display().to_string()), "{missing}");
        assert!(required_one_of("a.password", None, None).is_err());
        assert!(refused(Some(""), None).starts_with("a.password: "));
    }

    #[test]
    fn h56_a_secret_in_a_variable_keeps_no_line_end() {
        for value in ["hunter2\n", "hunter2\r", "a\tb"] {
            let refused =
                one_of("auth.rest_secret", Some(Secret::new(value)), None).unwrap_err().to_string();
            assert!(
                refused.contains("control character") && !refused.contains("hunter2"),
                "{refused}"
            );
        }
    }

    #[test]
    fn h56_a_key_file_is_text_or_all_its_bytes() {
        let scratch = causeway_kit::Scratch::new();
        let raw: Vec<u8> = (200..=231).chain([b'\n']).collect();
        let read =
            |bytes: &[u8]| key_from_file(&scratch.write("key", bytes)).map(|key| key.to_vec());
        assert_eq!(read(&raw), Ok(raw.clone()), "the last byte is no line end");
        assert_eq!(read(b"0123456789abcdef\n"), Ok(b"0123456789abcdef".to_vec()));
        let error = read(b"one\ntwo\n").unwrap_err();
        assert!(error.contains("has 2 lines"), "{error}");
    }
}
