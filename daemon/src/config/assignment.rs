//! `KEY=VALUE`, the argument of `--set`.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

/// One `--set`: a dotted key and the text of its value.
#[derive(Clone)]
pub struct Assignment {
    /// The key's segments; `auth.users."a.b".password` has four.
    pub path: Vec<String>,
    pub(super) value: Zeroizing<String>,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut path = vec![String::new()];
        let mut quoted = false;
        for (at, letter) in text.char_indices() {
            let segment = path.last_mut().expect("the path starts with one segment and only grows");
            match letter {
                '"' => quoted = !quoted,
                '.' if !quoted => path.push(String::new()),
                '=' if !quoted => {
                    if path.iter().any(String::is_empty) {
                        return Err("a key consists of names and dots, such as relay.ports".into());
                    }
                    let value = Zeroizing::new(text[at + 1..].to_owned());
                    return Ok(Assignment { path, value });
                }
                letter if letter.is_whitespace() && !quoted => {
                    return Err("a key must not contain blanks".into());
                }
                letter => segment.push(letter),
            }
        }
        Err("expected KEY=VALUE, such as relay.ports=49152-65535".into())
    }
}

/// Shows the key only, since the value may be a secret.
impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=[redacted]", self.path.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_dots_and_the_first_equals_sign() {
        let assignment: Assignment = "auth.users.\"a.b=c\".password=x=y".parse().unwrap();
        assert_eq!(assignment.path, ["auth", "users", "a.b=c", "password"]);
        assert_eq!(assignment.value.as_str(), "x=y");
        assert!(!format!("{assignment:?}").contains("x=y"));
    }

    #[test]
    fn refuses_what_has_no_key_or_no_value() {
        for text in ["", "relay.ports", "=1", "a..b=1", ".a=1", "a b=1", "\"a=1"] {
            assert!(text.parse::<Assignment>().is_err(), "{text}");
        }
    }
}
