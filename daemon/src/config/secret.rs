//! Secrets: wiped when dropped, never printed, from a value or a file.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::file::read_bounded;

/// The newtype name by which [`Secret`] tells the deserializer not to quote its value in an error.
pub(super) const SECRET: &str = "$causeway::Secret";

/// The longest file of a secret.
const LONGEST: u64 = 64 << 10;

/// A password, a shared secret or a token.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes the text of a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself: where it is handed to the code that computes with it, and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads a secret from a file; one trailing line end is not part of it.
    ///
    /// # Errors
    /// Says which file cannot be read, or that it is empty.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let text = read_bounded(path, LONGEST)?;
        let trimmed = text.strip_suffix('\n').unwrap_or(&text);
        let secret = Secret(trimmed.strip_suffix('\r').unwrap_or(trimmed).to_owned());
        match secret.0.is_empty() {
            true => Err(format!("{} is empty", path.display())),
            false => Ok(secret),
        }
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

            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Secret, D::Error> {
                inner.deserialize_str(Text)
            }
        }
        deserializer.deserialize_newtype_struct(SECRET, Text)
    }
}

/// The secret of the pair `name` and `name_file`; none where neither is there.
///
/// # Errors
/// Both are there, the value is empty, or the file is unreadable or empty. The message starts with the key's name.
pub fn one_of(name: &str, value: Option<Secret>, file: Option<&Path>) -> Result<Option<Secret>, String> {
    match (value, file) {
        (Some(_), Some(_)) => Err(format!("both {name} and {name}_file are given; keep one of the two")),
        (Some(value), None) if value.0.is_empty() => Err(format!("{name} is empty; give it a value or a {name}_file")),
        (Some(value), None) => Ok(Some(value)),
        (None, Some(path)) => Secret::from_file(path).map(Some).map_err(|error| format!("{name}_file: {error}")),
        (None, None) => Ok(None),
    }
}

/// As [`one_of`], where one of the two must be there.
///
/// # Errors
/// As [`one_of`], and where neither is there.
pub fn required_one_of(name: &str, value: Option<Secret>, file: Option<&Path>) -> Result<Secret, String> {
    one_of(name, value, file)?.ok_or_else(|| format!("neither {name} nor {name}_file is given; give one of the two"))
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
        let file = std::env::temp_dir().join(format!("causeway-secret-{}", std::process::id()));
        std::fs::write(&file, "from a file\r\n").unwrap();
        assert_eq!(required_one_of("password", None, Some(&file)).unwrap().expose(), "from a file");
        let both = one_of("password", Some(Secret::new("x")), Some(&file)).unwrap_err();
        assert!(both.contains("both password and password_file"), "{both}");
        std::fs::write(&file, "\n").unwrap();
        assert!(one_of("password", None, Some(&file)).unwrap_err().contains("is empty"));
        std::fs::write(&file, "x".repeat(100_000)).unwrap();
        assert!(one_of("password", None, Some(&file)).unwrap_err().contains("more than"));
        std::fs::remove_file(&file).unwrap();
        let missing = one_of("password", None, Some(&file)).unwrap_err();
        assert!(missing.starts_with("password_file: cannot read"), "{missing}");
        assert!(missing.contains(&file.display().to_string()), "{missing}");
        assert!(required_one_of("password", None, None).is_err());
        assert!(one_of("password", Some(Secret::new("")), None).is_err());
    }
}
