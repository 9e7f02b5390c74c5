//! `[auth]`: the users and secrets that may relay.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use causeway_auth::{NotOpaque, RestName, opaque_string};
use causeway_daemon::config::values::duration;
use causeway_daemon::config::{Problem, Secret, one_of, required_one_of};
use causeway_store::Protection;
use serde::Deserialize;

use super::timestamp::Timestamp;

/// Minimum length of a REST secret without a warning, in bytes.
const STRONG_REST_SECRET: usize = 16;

/// The keys of `[auth]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuthSchema {
    #[serde(default)]
    users: BTreeMap<String, UserSchema>,
    rest_secret: Option<Secret>,
    rest_secret_file: Option<PathBuf>,
    #[serde(default)]
    rest_secrets: Vec<RestSchema>,
    #[serde(with = "RestNameKey")]
    rest_name: RestName,
    #[serde(deserialize_with = "duration")]
    expiry_grace: Duration,
    from_store: FromStore,
    store_has_sha256: bool,
}

/// Whether users and REST secrets come from the store, and in which form.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FromStore {
    No,
    Sealed,
    Clear,
}

#[derive(Deserialize)]
#[serde(remote = "RestName")]
enum RestNameKey {
    #[serde(rename = "time:name")]
    TimeName,
    #[serde(rename = "name:time")]
    NameTime,
    #[serde(rename = "either")]
    Either,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct UserSchema {
    password: Option<Secret>,
    password_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RestSchema {
    secret: Option<Secret>,
    secret_file: Option<PathBuf>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

/// The users and secrets that may relay: at least one user, one REST secret, or those of the store.
#[derive(Clone, Debug)]
pub(crate) struct Auth {
    /// Users with a password of their own.
    pub(crate) users: Vec<User>,
    /// The secrets that mint REST credentials.
    pub(crate) rest_secrets: Vec<Rest>,
    /// The form of the usernames of REST credentials.
    pub(crate) rest_name: RestName,
    /// How long an expired REST credential stays valid for the allocations that it opened (H16).
    pub(crate) expiry_grace: Duration,
    /// The form of users and secrets in the store, if they are read from there.
    pub(crate) from_store: Option<Protection>,
    /// Whether each user of the store has a SHA-256 key.
    pub(crate) store_has_sha256: bool,
}

/// A secret that mints REST credentials.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    pub(crate) secret: Secret,
    /// The secret is not valid before this second of Unix time.
    pub(crate) not_before: Option<u64>,
    /// The secret is not valid after this second of Unix time.
    pub(crate) not_after: Option<u64>,
}

/// One user.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// The value of USERNAME, after OpaqueString.
    pub(crate) name: String,
    /// The password, which is valid for OpaqueString.
    pub(crate) password: Secret,
}

impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users = match self.users.len() {
            1 => "1 user".to_owned(),
            number => format!("{number} users"),
        };
        let rest = match self.rest_secrets.len() {
            0 => String::new(),
            1 => " and a REST secret".to_owned(),
            number => format!(" and {number} REST secrets"),
        };
        let store = if self.from_store.is_some() { ", and those of the store" } else { "" };
        write!(f, "{users}{rest}{store}")
    }
}

impl Auth {
    /// Lines for `--check-config`: the form of REST names, and the part of them that
    /// `limits.allocations_per_user` counts by.
    pub(super) fn describe(&self) -> Vec<String> {
        if self.rest_secrets.is_empty() && self.from_store.is_none() {
            return Vec::new();
        }
        let form = match self.rest_name {
            RestName::TimeName => "EXPIRY:NAME",
            RestName::NameTime => "NAME:EXPIRY",
            RestName::Either => {
                "EXPIRY:NAME or NAME:EXPIRY (of two numbers the earlier time is the expiry)"
            }
        };
        vec![
            format!("REST names are read as {form}; EXPIRY is in seconds of Unix time"),
            "limits.allocations_per_user counts by NAME; a REST name without one is not a user, and \
             only limits.allocations_per_prefix limits it"
                .into(),
        ]
    }

    /// Warnings about REST secrets that can be guessed: one credential is enough to try offline.
    pub(super) fn warnings(&self) -> Vec<String> {
        let short = self
            .rest_secrets
            .iter()
            .map(|rest| rest.secret.expose().len())
            .filter(|length| *length < STRONG_REST_SECRET);
        let warning = |length| {
            format!(
                "auth.rest_secret: a secret of {length} bytes can be guessed from one credential; \
                 write at least {STRONG_REST_SECRET} bytes (openssl rand -hex 32)"
            )
        };
        short.map(warning).collect()
    }
}

impl AuthSchema {
    /// Reads the files of secrets, and refuses a server without authentication (H44).
    pub(super) fn resolve(self) -> Result<Auth, Vec<Problem>> {
        let mut problems = Vec::new();
        let from_store = match self.from_store {
            FromStore::No => None,
            FromStore::Sealed => Some(Protection::Sealed),
            FromStore::Clear => Some(Protection::Clear),
        };
        let has_secret = self.rest_secret.is_some()
            || self.rest_secret_file.is_some()
            || !self.rest_secrets.is_empty();
        if from_store.is_none() && self.users.is_empty() && !has_secret {
            let what = "no authentication is configured; an open relay is a way into your network";
            let hint = "name a user (--user NAME:PASSWORD, auth.users) or a REST secret \
                        (auth.rest_secret_file)";
            problems.push(Problem::new("auth", what).hint(hint));
        }
        if self.store_has_sha256 && from_store.is_none() {
            problems.push(
                Problem::new("auth.store_has_sha256", "requires auth.from_store")
                    .hint("set auth.from_store, or leave store_has_sha256 out"),
            );
        }
        let mut users: Vec<User> = Vec::new();
        for (name, user) in self.users {
            let key = format!("auth.users.{name}");
            match user.resolve(&name, &key) {
                Ok(user) if users.iter().any(|other| other.name == user.name) => {
                    let what = "equals another user's name after RFC 8265 normalisation";
                    problems.push(Problem::new(key, what).hint("keep one of the two"));
                }
                Ok(user) => users.push(user),
                Err(wrong) => problems.extend(wrong),
            }
        }
        let mut rest_secrets = Vec::new();
        match one_of("auth.rest_secret", self.rest_secret, self.rest_secret_file.as_deref()) {
            Ok(secret) => rest_secrets.extend(secret.map(|secret| Rest {
                secret,
                not_before: None,
                not_after: None,
            })),
            Err(problem) => problems.push(problem),
        }
        for (index, secret) in self.rest_secrets.into_iter().enumerate() {
            match secret.resolve(&format!("auth.rest_secrets[{index}]")) {
                Ok(secret) => rest_secrets.push(secret),
                Err(problem) => problems.push(problem),
            }
        }
        let auth = Auth {
            users,
            rest_secrets,
            rest_name: self.rest_name,
            expiry_grace: self.expiry_grace,
            from_store,
            store_has_sha256: self.store_has_sha256,
        };
        if problems.is_empty() { Ok(auth) } else { Err(problems) }
    }
}

impl UserSchema {
    fn resolve(self, name: &str, key: &str) -> Result<User, Vec<Problem>> {
        let mut wrong = Vec::new();
        let problem = |what: String| Problem::new(key, what);
        // RFC 8489 §14.3: "fewer than 509 bytes".
        if name.is_empty() || name.len() >= 509 {
            wrong.push(problem("a user's name must have from 1 to 508 bytes".to_owned()));
        }
        let opaque = opaque_string(name)
            .map_err(|error| wrong.push(problem(format!("the name is not valid: {error}"))));
        let password = required_one_of(
            &format!("{key}.password"),
            self.password,
            self.password_file.as_deref(),
        );
        let password = password.map_err(|problem| wrong.push(problem));
        if password.as_ref().is_ok_and(|password| opaque_string(password.expose()).is_err()) {
            wrong.push(problem(format!("the password is not valid: {NotOpaque}")));
        }
        match (opaque, password) {
            (Ok(name), Ok(password)) if wrong.is_empty() => {
                Ok(User { name: name.into_owned(), password })
            }
            _ => Err(wrong),
        }
    }
}

impl RestSchema {
    fn resolve(self, key: &str) -> Result<Rest, Problem> {
        let secret =
            required_one_of(&format!("{key}.secret"), self.secret, self.secret_file.as_deref())?;
        let [not_before, not_after] =
            [self.not_before, self.not_after].map(|time| time.map(|time| time.0));
        match (not_before, not_after) {
            (Some(not_before), Some(not_after)) if not_after <= not_before => Err(Problem::new(
                format!("{key}.not_after"),
                "not_after is not later than not_before",
            )),
            _ => Ok(Rest { secret, not_before, not_after }),
        }
    }
}
