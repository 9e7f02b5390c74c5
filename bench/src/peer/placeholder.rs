//! Placeholders such as `{port}` in a description.

use anyhow::{Result, bail};

/// All placeholder names.
pub(super) const NAMES: &[&str] = &[
    "address", "port", "tls_port", "min_port", "max_port", "network", "realm", "user", "password",
    "dir", "cert", "key", "build", "backend",
];

/// Checks that the text has known placeholders only.
pub(super) fn check(text: &str) -> Result<()> {
    fill(text, |_| Some(String::new())).map(drop)
}

/// The text with the placeholders replaced.
pub(super) fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        filled.push_str(before);
        let end = behind
            .find(|letter: char| !letter.is_ascii_lowercase() && letter != '_')
            .unwrap_or(behind.len());
        let name = &behind[..end];
        rest = match behind[end..].strip_prefix('}') {
            Some(after) if !name.is_empty() => {
                if !NAMES.contains(&name) {
                    bail!("{{{name}}} is none of {{{}}}", NAMES.join("}, {"));
                }
                let Some(value) = value(name) else { bail!("{{{name}}} is not given here") };
                filled.push_str(&value);
                after
            }
            // A brace that belongs to the file.
            _ => {
                filled.push('{');
                behind
            }
        };
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_and_other_braces_kept() {
        let value = |name: &str| (name == "port").then(|| "3478".to_owned());
        assert_eq!(fill("a = { b = {port} } {", value).unwrap(), "a = { b = 3478 } {");
        assert!(fill("{cert}", value).unwrap_err().to_string().contains("not given"));
        assert!(check("{certificate}").unwrap_err().to_string().contains("{cert}"));
        check("{address}:{port}").unwrap();
    }
}
