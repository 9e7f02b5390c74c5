//! The names of keys. Text that a client chose is always escaped in them (H40).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::node::NodeId;
use crate::record::RecordId;

/// The accounting stream.
pub(crate) const ACCOUNTING: &str = "cw:accounting";
/// A counter that is incremented with each change of a user or a secret.
pub(crate) const USERS_VERSION: &str = "cw:users:version";

/// Key of the incarnation that may write the node's records.
pub(crate) fn incarnation(node: &NodeId) -> String {
    format!("cw:{{{node}}}:incarnation")
}

/// Key of the set of the node's record ids.
pub(crate) fn index(node: &NodeId) -> String {
    format!("cw:{{{node}}}:index")
}

/// Key of an allocation's record.
pub(crate) fn alloc(node: &NodeId, id: RecordId) -> String {
    format!("cw:{{{node}}}:alloc:{id}")
}

/// Key of a node's entry in the registry.
pub(crate) fn registry(node: &NodeId) -> String {
    format!("cw:node:{node}")
}

/// Key of the hash of a user's keys.
pub(crate) fn user(realm: &str, username: &str) -> String {
    format!("cw:user:{}:{}", escape(realm), escape(username))
}

/// Key of the hash of a realm's REST secrets.
pub(crate) fn secret(realm: &str) -> String {
    format!("cw:secret:{}", escape(realm))
}

/// The bytes that are escaped: all but letters, digits, `.`, `_` and `-`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// Writes each escaped byte as `%` and two upper-case hexadecimal digits. Different texts have
/// different forms, and no form contains a separator, a space, a brace or a pattern character.
pub(crate) fn escape(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ESCAPED)
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
            let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:%".contains(&byte);
            prop_assert!(user(&one.0, &one.1).bytes().all(safe));
        }
    }
}
