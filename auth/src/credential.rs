use std::fmt;

use causeway_wire::IntegrityKey;

use crate::key::Key;

/// Who a request comes from, and the key that proves it. Shared by all allocations of one user.
#[derive(Clone)]
pub struct Credential {
    username: Box<str>,
    quota_name: std::ops::Range<usize>,
    key: Key,
    integrity: IntegrityKey,
    expires: Option<u64>,
}

impl Credential {
    /// A user of the configuration.
    #[must_use]
    pub fn new(username: &str, key: Key) -> Self {
        Self { username: username.into(), quota_name: 0..username.len(), integrity: key.integrity_key(), key, expires: None }
    }

    /// A user whose name says until when it is good: `quota_name` is the part of `username` that names the person.
    #[must_use]
    pub fn expiring(username: &str, quota_name: std::ops::Range<usize>, key: Key, expires: u64) -> Self {
        Self { quota_name, expires: Some(expires), ..Self::new(username, key) }
    }

    /// The value of USERNAME.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The name that quotas are counted by: without the expiry of a REST credential, so that minting another one yields no more.
    #[must_use]
    pub fn quota_name(&self) -> &str {
        self.username.get(self.quota_name.clone()).unwrap_or(&self.username)
    }

    /// Where the name that quotas are counted by stands in the username.
    #[must_use]
    pub fn quota_range(&self) -> std::ops::Range<usize> {
        self.quota_name.clone()
    }

    /// The long-term key, for a store that seals it.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The key made ready for message integrity.
    #[must_use]
    pub fn integrity(&self) -> &IntegrityKey {
        &self.integrity
    }

    /// Unix time in seconds after which it is good no more; `None` is for ever.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// Whether it is good at `unix`, with `grace` seconds more (H16).
    #[must_use]
    pub fn is_valid(&self, unix: u64, grace: u64) -> bool {
        self.expires.is_none_or(|expires| unix <= expires.saturating_add(grace))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).field("expires", &self.expires).finish_non_exhaustive()
    }
}
