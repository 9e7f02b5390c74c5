//! The documented default configuration: a text that is both manual and test.
//!
//! Prose lines start with `# `. A line that starts with `#` and no blank is a key that may be
//! uncommented; one that starts with `##` is an alternative to the line above it, for which that
//! line has to go.

use super::keys::{ANY_NAME, keys};

/// The text with its keys uncommented and the alternatives left out: a configuration that must
/// load.
pub fn uncommented(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if is_key(rest) => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Every key that the text explains, dotted, alternatives included; as [`super::keys`] names them.
///
/// # Panics
/// If the uncommented text is no TOML: it is a constant of the program, checked by a test.
pub fn documented_keys(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let table: toml::Table =
        uncommented(text).parse().expect("the documented configuration is TOML");
    collect("", &toml::Value::Table(table), &mut found);
    let mut section = String::new();
    for line in text.lines() {
        let bare = line.trim_start_matches('#');
        if bare.starts_with('[') {
            section =
                format!("{}.", bare.trim_start_matches('[').split(']').next().unwrap_or_default());
        }
        if let Some(alternative) = line.strip_prefix("##").filter(|rest| is_key(rest)) {
            let table: toml::Table = alternative.parse().expect("an alternative is TOML");
            let mut keys = Vec::new();
            collect("", &toml::Value::Table(table), &mut keys);
            found.extend(keys.into_iter().map(|key| format!("{section}{key}")));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The keys of the schema `T` that `text` does not explain.
///
/// # Panics
/// As [`documented_keys`].
pub fn undocumented<T: for<'de> serde::Deserialize<'de>>(text: &str) -> Vec<String> {
    let documented = documented_keys(text);
    let explains = |documented: &str, key: &str| {
        let mut segments = documented.split('.');
        // What is longer than the key is a table that the schema reads as one value.
        key.split('.').all(|wanted| {
            segments.next().is_some_and(|segment| wanted == ANY_NAME || wanted == segment)
        })
    };
    keys::<T>()
        .into_iter()
        .filter(|key| !documented.iter().any(|documented| explains(documented, key)))
        .collect()
}

fn is_key(rest: &str) -> bool {
    rest.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '[' || letter == '"')
}

fn collect(prefix: &str, value: &toml::Value, found: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                collect(&key, value, found);
            }
        }
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            items.iter().for_each(|item| collect(prefix, item, found));
        }
        _ => found.push(prefix.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# The realm.
#realm = \"example.org\"
#[auth]
#token = \"x\"
##token_file = \"/etc/x\"
#[[listen]]
#address = \"0.0.0.0:3478\"
";

    #[test]
    fn keys_are_uncommented_and_prose_is_not() {
        let text = uncommented(TEXT);
        assert!(
            text.contains("\nrealm = ")
                && text.contains("# The realm")
                && text.contains("##token_file"),
            "{text}"
        );
        assert_eq!(
            documented_keys(TEXT),
            ["auth.token", "auth.token_file", "listen.address", "realm"]
        );
    }
}
