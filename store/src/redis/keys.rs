//! The names of keys. No text that a client chose is part of one unescaped (H40).

use crate::node::NodeId;
use crate::record::RecordId;

/// The stream of accounting.
pub(crate) const ACCOUNTING: &str = "cw:accounting";
/// Counted up by whoever changes a user or a secret.
pub(crate) const USERS_VERSION: &str = "cw:users:version";

/// The incarnation that may write the node's records.
pub(crate) fn incarnation(node: &NodeId) -> String {
    format!("cw:{{{node}}}:incarnation")
}

/// The set of the node's record ids.
pub(crate) fn index(node: &NodeId) -> String {
    format!("cw:{{{node}}}:index")
}

/// A record.
pub(crate) fn alloc(node: &NodeId, id: RecordId) -> String {
    format!("cw:{{{node}}}:alloc:{id}")
}

/// What a node says of itself.
pub(crate) fn registry(node: &NodeId) -> String {
    format!("cw:node:{node}")
}

/// A user's keys.
pub(crate) fn user(realm: &str, username: &str) -> String {
    format!("cw:user:{}:{}", escape(realm), escape(username))
}

/// A realm's REST secrets.
pub(crate) fn secret(realm: &str) -> String {
    format!("cw:secret:{}", escape(realm))
}

/// Letters, digits, `.`, `_` and `-` stand for themselves, every other byte is `%` and two
/// upper-case hexadecimal digits: two texts never have one form, and no form has a separator, a
/// space, a brace or a pattern's character in it.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn h40_user_text_forms_no_other_key() {
        assert_eq!(user("example.org", "alice"), "cw:user:example.org:alice");
        assert_eq!(user("a:b", "c"), "cw:user:a%3Ab:c");
        assert_eq!(user("a", "b:c"), "cw:user:a:b%3Ac");
        assert_eq!(user("r", "%s%n *{x}\r\nÄ"), "cw:user:r:%25s%25n%20%2A%7Bx%7D%0D%0A%C3%84");
        assert_ne!(user("r", "%3A"), user("r", ":"));
    }

    proptest! {
        #[test]
        fn h40_different_users_have_different_keys(one: (String, String), other: (String, String)) {
            prop_assert_eq!(one == other, user(&one.0, &one.1) == user(&other.0, &other.1));
            prop_assert!(user(&one.0, &one.1).bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:%".contains(&byte)));
        }
    }
}
