use std::fmt;
use std::time::Duration;

use super::link::Link;
use super::url;
use crate::directory::HEARTBEAT_LIFETIME;
use crate::error::StoreError;
use zeroize::Zeroizing;

/// How to reach a Redis server, version 6 or later.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://host:port/db`, or `redis+unix:///path`. A user and a password may stand in it; the
    /// fields below go before them.
    pub url: Zeroizing<String>,
    /// The ACL user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Zeroizing<String>>,
    /// To connect and log in.
    pub connect_timeout: Duration,
    /// For an answer.
    pub timeout: Duration,
    /// How long a heartbeat counts: for so long nobody takes the node's name.
    pub heartbeat_lifetime: Duration,
    /// Entries that the accounting stream keeps, about.
    pub accounting_entries: usize,
}

impl RedisSettings {
    /// With the usual timeouts: 1 s each.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let second = Duration::from_secs(1);
        let url = Zeroizing::new(url.to_owned());
        Self {
            url,
            username: None,
            password: None,
            connect_timeout: second,
            timeout: second,
            heartbeat_lifetime: HEARTBEAT_LIFETIME,
            accounting_entries: 1_000_000,
        }
    }
}

impl RedisSettings {
    /// Whether the URL can be used. Connects to nobody.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), StoreError> {
        Link::new(self).map(drop)
    }

    /// Whether the URL holds a user's name, and a password.
    #[must_use]
    pub fn url_credentials(&self) -> (bool, bool) {
        url::credentials(&self.url)
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold the password.
        f.debug_struct("RedisSettings")
            .field("username", &self.username)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
