//! `store.fleet_key`: raw bytes, hexadecimal digits or base64, and warnings about weak keys.

use std::path::Path;

use causeway_daemon::config::{Problem, Secret, key_from_file, missing, one_of};
use causeway_store::FleetKey;
use zeroize::Zeroizing;

/// The key of the value; that of the file has `_file` at its end.
const KEY: &str = "store.fleet_key";
/// Minimum number of random bytes of a key.
const MIN_RANDOM: usize = 32;
/// Minimum number of different bytes: random hexadecimal digits nearly always have more.
const MIN_DIFFERENT: usize = 8;
/// The remedy of every problem with the key.
const CURE: &str = "write one with `openssl rand -hex 32`, the same for every server of the fleet";

/// Reads the key, and returns a warning if it is weak.
pub(super) fn read(
    value: Option<Secret>,
    file: Option<&Path>,
) -> Result<(FleetKey, Option<String>), Problem> {
    let (key, bytes) = match (value, file) {
        (None, Some(path)) => {
            let key = format!("{KEY}_file");
            let bytes =
                key_from_file(path).map_err(|error| Problem::new(key.clone(), error).hint(CURE))?;
            (key, bytes)
        }
        (value, file) => {
            let value = one_of(KEY, value, file)?.ok_or_else(|| missing(KEY))?;
            (KEY.to_owned(), Zeroizing::new(value.expose().as_bytes().to_vec()))
        }
    };
    let fleet_key = FleetKey::new(&bytes)
        .map_err(|error| Problem::new(key.clone(), error.to_string()).hint(CURE))?;
    let warning = weakness(&bytes).map(|what| format!("{key}: {what}; {CURE}"));
    Ok((fleet_key, warning))
}

/// The reason why the key is easier to guess than 32 random bytes, if it is. The key is not
/// decoded: its bytes are used as they are.
fn weakness(bytes: &[u8]) -> Option<String> {
    let different = (0..=u8::MAX).filter(|byte| bytes.contains(byte)).count();
    if different < MIN_DIFFERENT {
        return Some(format!("the key has only {different} different bytes"));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return None };
    if text.contains(char::is_control) {
        return None;
    }
    let unpadded = text.trim_end_matches('=');
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    let both_cases = unpadded.contains(char::is_lowercase) && unpadded.contains(char::is_uppercase);
    let (form, random) = if unpadded.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        ("hexadecimal digits", unpadded.len() / 2)
    } else if unpadded.bytes().all(is_base64) && both_cases {
        ("base64 letters", unpadded.len() * 3 / 4)
    } else {
        return Some("the text looks like words, which can be guessed".into());
    };
    (random < MIN_RANDOM)
        .then(|| format!("{} {form} stand for only {random} random bytes", unpadded.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file(bytes: &[u8]) -> Result<Option<String>, String> {
        let scratch = causeway_kit::Scratch::new();
        read(None, Some(&scratch.write("fleet-key", bytes)))
            .map(|(_, warning)| warning)
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn h56_raw_bytes_hexadecimal_and_base64_are_taken() {
        let raw: Vec<u8> = (0..32).map(|number: u8| number.wrapping_mul(37) ^ 0xC3).collect();
        assert!(std::str::from_utf8(&raw).is_err());
        for good in [
            &raw[..],
            b"8b1a9953c4611296a827abf8c47804d7e6c49c6b0e1f4c9d8a7b5e3f2d1c0b9a\n",
            b"ixqZU8RhEpaoJ6v4xHgE1+bEnGsOH0ydinteP1LRwLo=\n",
            b"ixqZU8RhEpaoJ6v4xHgE1-bEnGsOH0ydinteP1LRwLo",
        ] {
            assert_eq!(of_file(good), Ok(None), "{good:?}");
        }
    }

    #[test]
    fn h56_weak_keys_are_told_and_never_shown() {
        for (weak, told) in [
            (&b"correct horse battery staple and some more words"[..], "looks like words"),
            (b"correcthorsebatterystaplecorrecthorsebatterystaple", "looks like words"),
            (
                b"8b1a9953c4611296a827abf8c47804d7",
                "32 hexadecimal digits stand for only 16 random bytes",
            ),
            (b"ixqZU8RhEpaoJ6v4xHgE1+bEnGsOH0yd", "32 base64 letters stand for only 24"),
            (&[b'a'; 64], "only 1 different"),
        ] {
            let warning = of_file(weak).unwrap().unwrap();
            assert!(
                warning.starts_with("store.fleet_key_file: ") && warning.contains(told),
                "{warning}"
            );
            assert!(!warning.contains("horse") && !warning.contains("8b1a"), "{warning}");
        }
        for (refused, told) in
            [(&b"hunter2"[..], "at least 32"), (b"", "is empty"), (b"a\nb\n", "2 lines")]
        {
            let error = of_file(refused).unwrap_err();
            assert!(error.starts_with("store.fleet_key_file: ") && error.contains(told), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let of_value = read(Some(Secret::new("hunter2")), None).unwrap_err().to_string();
        assert!(
            of_value.starts_with("store.fleet_key: ") && !of_value.contains("hunter2"),
            "{of_value}"
        );
    }
}
