//! A secret at rest, as text: hexadecimal digits in clear, or `sealed:` and the hexadecimal digits
//! of the sealed form.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

use crate::fleet_key::FleetKey;
use crate::record::{open_secret, seal_secret};

const SEALED: &str = "sealed:";

/// Whether secrets in the store must be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Secrets are sealed with the fleet key; a secret in clear is not accepted.
    Sealed,
    /// Secrets are in clear; sealed ones are accepted, too.
    Clear,
}

/// The place of a secret. The seal authenticates all of it, so that a sealed value is valid only in
/// its own place and until its own expiry.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) key: &'a str,
    pub(super) field: &'a str,
    /// The expiry as the store has it; empty for never.
    pub(super) not_after: &'a str,
}

impl Place<'_> {
    fn aad(&self) -> Vec<u8> {
        // None of the three has a NUL in it.
        format!("secret\0{}\0{}\0{}", self.key, self.field, self.not_after).into_bytes()
    }
}

pub(super) fn write(
    fleet_key: &FleetKey,
    protection: Protection,
    place: Place<'_>,
    secret: &[u8],
    unix: u64,
) -> Zeroizing<String> {
    match protection {
        Protection::Clear => Zeroizing::new(hex(secret)),
        Protection::Sealed => Zeroizing::new(format!(
            "{SEALED}{}",
            hex(&seal_secret(fleet_key, &place.aad(), secret, unix))
        )),
    }
}

/// Returns `None` if the text has neither form, its seal does not open, or it is in clear where
/// secrets must be sealed.
pub(super) fn read(
    fleet_key: &FleetKey,
    protection: Protection,
    place: Place<'_>,
    text: &str,
) -> Option<Zeroizing<Vec<u8>>> {
    match text.strip_prefix(SEALED) {
        Some(sealed) => open_secret(fleet_key, &place.aad(), &unhex(sealed)?).ok(),
        None if protection == Protection::Clear => unhex(text),
        None => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    // Encodes into one allocation: a text that grows would leave copies behind.
    HEXLOWER.encode(bytes)
}

fn unhex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    // Decodes into one allocation, for the same reason.
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
    (!bytes.is_empty()).then(|| Zeroizing::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place { key: "cw:user:r:alice", field: "md5", not_after: "" };

    #[test]
    fn h25_a_sealed_secret_opens_in_its_own_place_only() {
        let key = FleetKey::new(&[1; 32]).unwrap();
        let text = write(&key, Protection::Sealed, PLACE, b"secret", 1_800_000_000);
        assert!(text.starts_with("sealed:") && !text.contains("736563726574"), "{}", *text);
        assert_eq!(
            read(&key, Protection::Sealed, PLACE, &text).as_deref().map(Vec::as_slice),
            Some(&b"secret"[..])
        );
        assert_eq!(
            read(&key, Protection::Clear, PLACE, &text).as_deref().map(Vec::as_slice),
            Some(&b"secret"[..])
        );
        for place in [
            Place { key: "cw:user:r:bob", ..PLACE },
            Place { field: "sha256", ..PLACE },
            Place { not_after: "9", ..PLACE },
        ] {
            assert_eq!(read(&key, Protection::Sealed, place, &text), None);
        }
        assert_eq!(read(&FleetKey::new(&[2; 32]).unwrap(), Protection::Sealed, PLACE, &text), None);
    }

    #[test]
    fn a_secret_in_clear_is_taken_only_where_that_was_allowed_and_malformed_text_never() {
        let key = FleetKey::new(&[1; 32]).unwrap();
        assert_eq!(read(&key, Protection::Clear, PLACE, "00fF").as_deref(), Some(&vec![0, 255]));
        assert_eq!(read(&key, Protection::Sealed, PLACE, "00ff"), None);
        for bad in ["", "0", "0g", "+1", "sealed:", "sealed:00", "é0", "sealed:zz"] {
            assert_eq!(read(&key, Protection::Clear, PLACE, bad), None, "{bad:?}");
        }
    }
}
