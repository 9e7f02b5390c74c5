//! `[auth]`: who may relay.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use causeway_daemon::config::values::Interval;
use causeway_daemon::config::{Problem, Secret, one_of, required_one_of};
use causeway_store::Protection;
use serde::Deserialize;

/// The keys of `[auth]`, as written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AuthSchema {
    users: BTreeMap<String, UserSchema>,
    rest_secret: Option<Secret>,
    rest_secret_file: Option<PathBuf>,
    expiry_grace: Interval,
    from_store: FromStore,
}

/// Whether users and REST secrets are taken from the store, and in which form.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FromStore {
    #[default]
    No,
    Sealed,
    Clear,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct UserSchema {
    password: Option<Secret>,
    password_file: Option<PathBuf>,
}

impl Default for AuthSchema {
    fn default() -> Self {
        let (rest_secret, rest_secret_file) = (None, None);
        AuthSchema { users: BTreeMap::new(), rest_secret, rest_secret_file, expiry_grace: Interval::seconds(0), from_store: FromStore::No }
    }
}

/// Who may relay: at least one user, a REST secret, or whom the store knows.
#[derive(Clone, Debug)]
pub(crate) struct Auth {
    /// Users with a password of their own.
    pub(crate) users: Vec<User>,
    /// The secret that mints REST credentials (`expiry:name`).
    pub(crate) rest_secret: Option<Secret>,
    /// So long an expired REST credential goes on working for what it opened (H16).
    pub(crate) expiry_grace: Duration,
    /// How users and secrets stand in the store, if they are taken from there.
    pub(crate) from_store: Option<Protection>,
}

/// One user.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// The value of USERNAME.
    pub(crate) name: String,
    /// The password.
    pub(crate) password: Secret,
}

impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users = match self.users.len() {
            1 => "1 user".to_owned(),
            number => format!("{number} users"),
        };
        let rest = if self.rest_secret.is_some() { " and a REST secret" } else { "" };
        let store = if self.from_store.is_some() { ", and those of the store" } else { "" };
        write!(f, "{users}{rest}{store}")
    }
}

impl AuthSchema {
    /// Reads the files of secrets, and refuses a server that anybody could use (H44).
    pub(super) fn resolve(self) -> Result<Auth, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut users = Vec::new();
        let from_store = match self.from_store {
            FromStore::No => None,
            FromStore::Sealed => Some(Protection::Sealed),
            FromStore::Clear => Some(Protection::Clear),
        };
        let nobody = from_store.is_none() && self.users.is_empty() && self.rest_secret.is_none() && self.rest_secret_file.is_none();
        for (name, user) in self.users {
            let key = format!("auth.users.{name}");
            // RFC 8489 §14.3: "fewer than 509 bytes".
            if name.is_empty() || name.len() >= 509 {
                problems.push(Problem::new(key.clone(), "a user's name has from 1 to 508 bytes"));
            }
            if name.contains(char::is_control) {
                problems.push(Problem::new(key.clone(), "the name holds a control character"));
            }
            match required_one_of("password", user.password, user.password_file.as_deref()) {
                Ok(password) => users.push(User { name, password }),
                Err(what) => problems.push(Problem::new(key, what)),
            }
        }
        let rest_secret = match one_of("rest_secret", self.rest_secret, self.rest_secret_file.as_deref()) {
            Ok(secret) => secret,
            Err(what) => {
                problems.push(Problem::new("auth", what));
                None
            }
        };
        if nobody {
            let what = "no authentication is configured, and an open relay is anybody's way into your network";
            let hint = "name a user (--user NAME:PASSWORD, auth.users) or a REST secret (auth.rest_secret_file)";
            problems.push(Problem::new("auth", what).hint(hint));
        }
        let auth = Auth { users, rest_secret, expiry_grace: self.expiry_grace.0, from_store };
        if problems.is_empty() { Ok(auth) } else { Err(problems) }
    }
}
