//! The name of a server in the store, and one process that runs under it.

use std::fmt;
use std::sync::Arc;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::rand::{SecureRandom, SystemRandom};

/// Maximum length of a node id, in bytes.
const MAX_LEN: usize = 64;

/// The name of a server among those that share a store, the same after each restart. It has 1 to 64
/// letters, digits, `.`, `_` and `-`, so that it needs no escaping in a key or a file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(Arc<str>);

/// The name is not a valid node id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a node id; use 1 to {MAX_LEN} letters, digits, '.', '_' and '-'")]
pub struct BadNodeId(pub String);

impl NodeId {
    /// Checks the name.
    ///
    /// # Errors
    /// The name is empty, too long, or has another character.
    pub fn new(name: &str) -> Result<Self, BadNodeId> {
        let good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if good && (1..=MAX_LEN).contains(&name.len()) {
            Ok(Self(name.into()))
        } else {
            Err(BadNodeId(name.to_owned()))
        }
    }

    /// The name as text.
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

/// One process of a node: a random number, written beside the node's records. Each write names the
/// writer's incarnation, and the store rejects all but the latest one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Incarnation([u8; 16]);

impl Incarnation {
    /// Draws a new one from the operating system's random numbers.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).expect("the operating system has randomness");
        Self(bytes)
    }

    /// Parses the form that [`Display`](fmt::Display) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Incarnation {
    /// Writes 32 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incarnation({self})")
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
