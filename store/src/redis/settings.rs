//! Address, login and timeouts of a Redis server, and the check of its URL.

use std::fmt;
use std::time::Duration;

use redis::{Client, IntoConnectionInfo};
use zeroize::Zeroizing;

use super::url;
use crate::directory::HEARTBEAT_LIFETIME;
use crate::error::{ErrorKind, StoreError};

/// How to reach a Redis server, version 6 or later.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://host:port/db`, or `redis+unix:///path`. It may contain a user and a password; the
    /// fields below take precedence over them.
    pub url: Zeroizing<String>,
    /// Name of the ACL user.
    pub username: Option<String>,
    /// Password of the user.
    pub password: Option<Zeroizing<String>>,
    /// Timeout for connecting and logging in.
    pub connect_timeout: Duration,
    /// Timeout for an answer.
    pub timeout: Duration,
    /// How long a heartbeat is fresh, so that no other server takes the node's name.
    pub heartbeat_lifetime: Duration,
    /// Approximate maximum number of entries in the accounting stream.
    pub accounting_entries: usize,
}

impl RedisSettings {
    /// Creates settings with timeouts of 1 s.
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

    /// Checks the URL without connecting.
    ///
    /// # Errors
    /// The URL is not usable; the text says why, and what to write instead.
    pub fn check(&self) -> Result<(), StoreError> {
        self.client().map(drop)
    }

    /// The client library's client, not connected.
    pub(super) fn client(&self) -> Result<Client, StoreError> {
        let refused = |why: String| {
            StoreError::new(ErrorKind::Other, format!("the Redis URL is not usable: {why}"))
        };
        url::reason(&self.url).map_err(refused)?;
        let info = self
            .url
            .as_str()
            .into_connection_info()
            .map_err(|error| refused(error.category().to_owned()))?;
        let mut login = info.redis_settings().clone();
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.as_str());
        }
        Client::open(info.set_redis_settings(login))
            .map_err(|error| refused(error.category().to_owned()))
    }

    /// Whether the URL contains a user name, and whether it contains a password.
    #[must_use]
    pub fn url_credentials(&self) -> (bool, bool) {
        url::credentials(&self.url)
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may contain the password.
        f.debug_struct("RedisSettings")
            .field("username", &self.username)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
