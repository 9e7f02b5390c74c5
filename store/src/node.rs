use std::fmt;
use std::sync::Arc;

/// The longest name of a node, in bytes.
const MAX_LEN: usize = 64;

/// The name of a server among those that share a store: the same after each restart. 1 to 64
/// letters, digits, `.`, `_` and `-`, so that it is a part of a key and of a file name as it
/// stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(Arc<str>);

/// A name that no node can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be a node id: 1 to {MAX_LEN} letters, digits, '.', '_' and '-'")]
pub struct BadNodeId(pub String);

impl NodeId {
    /// # Errors
    /// When the name has another character, or none, or too many.
    pub fn new(name: &str) -> Result<Self, BadNodeId> {
        let good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if good && (1..=MAX_LEN).contains(&name.len()) {
            Ok(Self(name.into()))
        } else {
            Err(BadNodeId(name.to_owned()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h40_a_node_id_is_a_key_and_a_file_name_as_it_stands() {
        assert_eq!(NodeId::new("relay-1.example_2").unwrap().as_str(), "relay-1.example_2");
        for bad in ["", "a b", "a/b", "{a}", "a:b", "a\r\n", "ä", &"a".repeat(65)] {
            assert!(NodeId::new(bad).is_err(), "{bad:?}");
        }
    }
}
