//! The documented configuration: one text that is the manual, the source of the defaults, and a
//! test.
//!
//! Prose lines start with `# `. A line that starts with `#` and no blank is a key that may be
//! uncommented. Its value is the default, unless a comment follows on the same line (` # example`)
//! or the header of its section is commented out, too. A line that starts with `##` is an
//! alternative that replaces the line above it.

use super::file;
use super::keys::{ANY_NAME, keys};
use super::origin::Origin;
use super::tree::Node;

/// The defaults that the text documents.
///
/// # Panics
/// If they are not TOML: the text is a constant of the program, and tests load it.
pub(super) fn defaults(text: &str) -> Node {
    let mut in_example = false;
    let line = |line: &str| {
        let key = line.strip_prefix('#').filter(|rest| is_key(rest));
        if line.starts_with('[') {
            in_example = false;
            return line.to_owned();
        }
        in_example |= key.is_some_and(|key| key.starts_with('['));
        key.filter(|key| !in_example && !key.contains(" # ")).unwrap_or_default().to_owned()
    };
    let defaults = text.lines().map(line).collect::<Vec<_>>().join("\n");
    let mut tree = file::parse(&defaults, "defaults").expect("the documented defaults are TOML");
    file::restamp(&mut tree, &Origin::Default);
    tree
}

/// The text with its keys uncommented and the alternatives left out: a valid configuration.
pub fn uncommented(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if is_key(rest) => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Every key that the text explains, including alternatives, dotted as [`super::keys`] names them.
///
/// # Panics
/// If the uncommented text is not TOML: it is a constant of the program, and tests check it.
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
        // A longer documented key lies in a table that the schema reads as one value.
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
    fn a_documented_value_is_the_default_unless_it_is_an_example() {
        let text = "#a = 1\n#b = 2 # example\n##b = 3\n[s]\n#c = 4\n#[s.t]\n#d = 5\n[u]\n#e = 6\n";
        let tree = defaults(text);
        for (key, expected) in
            [("a", true), ("b", false), ("s.c", true), ("s.t", false), ("u.e", true)]
        {
            assert_eq!(tree.origin_of(key), Some(&Origin::Default).filter(|_| expected), "{key}");
        }
    }

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
