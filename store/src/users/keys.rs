//! A user's keys and a realm's secrets, as Redis hashes hold them.

use std::fmt;

use zeroize::Zeroizing;

use super::secret::{self, Place, Protection};
use crate::fleet_key::FleetKey;
use crate::record::{KeyAlgorithm, LongTermKey};

/// The expiry field of a user's hash.
pub(super) const NOT_AFTER: &str = "not_after";
/// The key fields of a user's hash.
pub(super) const ALGORITHMS: [(KeyAlgorithm, &str); 2] =
    [(KeyAlgorithm::Md5, "md5"), (KeyAlgorithm::Sha256, "sha256")];
/// Maximum number of secrets of a realm; a rotation needs fewer.
const MAX_SECRETS: usize = 8;

/// The keys of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKeys {
    /// One key per algorithm, at least one.
    pub keys: Vec<LongTermKey>,
    /// Unix time in seconds at which the keys expire; `None` for never.
    pub not_after: Option<u64>,
}

/// A secret that mints the REST credentials of a realm.
#[derive(Clone, PartialEq, Eq)]
pub struct RestSecret {
    /// Name of the secret: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// The bytes of the secret.
    pub secret: Zeroizing<Vec<u8>>,
    /// Unix time in seconds at which the secret expires; `None` for never.
    pub not_after: Option<u64>,
}

impl fmt::Debug for RestSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestSecret")
            .field("name", &self.name)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// A stored value cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Parses a user's hash: the fields `md5`, `sha256`, `not_after` in this order. `Ok(None)` if there
/// is no such user.
pub(super) fn user(
    fleet_key: &FleetKey,
    protection: Protection,
    key: &str,
    fields: [Option<Vec<u8>>; 3],
) -> Result<Option<UserKeys>, Malformed> {
    // Other programs may have written any bytes.
    let texts = fields.map(|field| field.map(|bytes| text(bytes).ok_or(Malformed)).transpose());
    let [md5, sha256, not_after] = texts;
    let (md5, sha256, not_after) = (md5?, sha256?, not_after?);
    if md5.is_none() && sha256.is_none() {
        return Ok(None);
    }
    let not_after = not_after.as_deref().map_or("", String::as_str);
    let mut keys = Vec::new();
    for ((algorithm, field), text) in ALGORITHMS.into_iter().zip([md5, sha256]) {
        let Some(text) = text else { continue };
        let bytes = secret::read(fleet_key, protection, Place { key, field, not_after }, &text)
            .ok_or(Malformed)?;
        keys.push(LongTermKey::new(algorithm, &bytes).ok_or(Malformed)?);
    }
    Ok(Some(UserKeys { keys, not_after: time(not_after)? }))
}

/// Parses a realm's hash of secrets. Returns the well-formed ones in the order of their names, and
/// the number of the others.
pub(super) fn secrets(
    fleet_key: &FleetKey,
    protection: Protection,
    key: &str,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
) -> (Vec<RestSecret>, u64) {
    let total = fields.len();
    let one = |(name, value): (Vec<u8>, Vec<u8>)| {
        let (name, text) = (String::from_utf8(name).ok()?, text(value)?);
        let (value, not_after) = text.split_once(";not_after=").unwrap_or((&text, ""));
        let secret =
            secret::read(fleet_key, protection, Place { key, field: &name, not_after }, value)?;
        let not_after = time(not_after).ok()?;
        is_name(&name).then_some(RestSecret { name, secret, not_after })
    };
    let mut secrets: Vec<RestSecret> = fields.into_iter().filter_map(one).collect();
    secrets.sort_by(|one, other| one.name.cmp(&other.name));
    secrets.truncate(MAX_SECRETS);
    let malformed = (total - secrets.len()) as u64;
    (secrets, malformed)
}

fn text(bytes: Vec<u8>) -> Option<Zeroizing<String>> {
    String::from_utf8(bytes).map(Zeroizing::new).ok()
}

/// Whether `name` is a valid name of a secret.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Parses an expiry: seconds of Unix time before the year 10000, or an empty text for none.
/// Anything else is malformed, milliseconds for example, because the writer wanted an expiry.
fn time(text: &str) -> Result<Option<u64>, Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    let seconds =
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    seconds.filter(|seconds| *seconds < YEAR_10000).map(Some).ok_or(Malformed)
}

/// The start of the year 10000, in seconds of Unix time.
const YEAR_10000: u64 = 253_402_300_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h49_a_time_that_is_no_seconds_of_unix_time_is_malformed() {
        for (text, expected) in [
            ("", Ok(None)),
            ("0", Ok(Some(0))),
            ("1800000000", Ok(Some(1_800_000_000))),
            ("253402300799", Ok(Some(253_402_300_799))),
            ("253402300800", Err(Malformed)),
            ("1800000000000", Err(Malformed)),
            ("+1800000000", Err(Malformed)),
            ("-1", Err(Malformed)),
            (" 1800000000", Err(Malformed)),
            ("99999999999999999999999", Err(Malformed)),
        ] {
            assert_eq!(time(text), expected, "{text:?}");
        }
    }
}
