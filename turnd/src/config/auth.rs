//! `[auth]`: who may relay.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use causeway_auth::{NotOpaque, RestName, opaque_string};
use causeway_daemon::config::values::Interval;
use causeway_daemon::config::{Problem, Secret, one_of, required_one_of};
use causeway_store::Protection;
use serde::Deserialize;

use super::timestamp::Timestamp;

/// A REST secret with fewer bytes is told as weak.
const LEAST_REST_SECRET: usize = 16;

/// The keys of `[auth]`, as written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AuthSchema {
    users: BTreeMap<String, UserSchema>,
    rest_secret: Option<Secret>,
    rest_secret_file: Option<PathBuf>,
    rest_secrets: Vec<RestSchema>,
    rest_name: RestNameSchema,
    expiry_grace: Interval,
    from_store: FromStore,
    store_has_sha256: bool,
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

/// How the usernames of REST credentials are written.
#[derive(Clone, Copy, Debug, Deserialize)]
enum RestNameSchema {
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

impl Default for AuthSchema {
    fn default() -> Self {
        AuthSchema {
            users: BTreeMap::new(),
            rest_secret: None,
            rest_secret_file: None,
            rest_secrets: Vec::new(),
            rest_name: RestNameSchema::TimeName,
            expiry_grace: Interval::seconds(0),
            from_store: FromStore::No,
            store_has_sha256: false,
        }
    }
}

/// Who may relay: at least one user, a REST secret, or whom the store knows.
#[derive(Clone, Debug)]
pub(crate) struct Auth {
    /// Users with a password of their own.
    pub(crate) users: Vec<User>,
    /// The secrets that mint REST credentials.
    pub(crate) rest_secrets: Vec<Rest>,
    /// How their usernames are written.
    pub(crate) rest_name: RestName,
    /// So long an expired REST credential goes on working for what it opened (H16).
    pub(crate) expiry_grace: Duration,
    /// How users and secrets stand in the store, if they are taken from there.
    pub(crate) from_store: Option<Protection>,
    /// Whether each user of the store has a SHA-256 key.
    pub(crate) store_has_sha256: bool,
}

/// A secret that mints REST credentials.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    /// The secret.
    pub(crate) secret: Secret,
    /// Before this second of Unix time it is not taken.
    pub(crate) not_before: Option<u64>,
    /// After this second of Unix time it is not taken.
    pub(crate) not_after: Option<u64>,
}

/// One user.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// The value of USERNAME, as OpaqueString leaves it.
    pub(crate) name: String,
    /// The password, which OpaqueString takes.
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
    /// How REST names are read, and who counts as a user for `limits.allocations_per_user`: lines
    /// for `--check-config`.
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
            "limits.allocations_per_user counts by NAME; a REST name without one is no user, and limits.allocations_per_prefix holds it"
                .into(),
        ]
    }

    /// Secrets that can be guessed: whoever is given one credential can try at home.
    pub(super) fn warnings(&self) -> Vec<String> {
        let short = self
            .rest_secrets
            .iter()
            .map(|rest| rest.secret.expose().len())
            .filter(|length| *length < LEAST_REST_SECRET);
        let warning = |length| {
            format!(
                "auth.rest_secret: a secret of {length} bytes can be guessed from one credential; write {LEAST_REST_SECRET} or more \
                 (openssl rand -hex 32)"
            )
        };
        short.map(warning).collect()
    }
}

impl AuthSchema {
    /// Reads the files of secrets, and refuses a server that anybody could use (H44).
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
            let what = "no authentication is configured, and an open relay is anybody's way into your network";
            let hint = "name a user (--user NAME:PASSWORD, auth.users) or a REST secret (auth.rest_secret_file)";
            problems.push(Problem::new("auth", what).hint(hint));
        }
        if self.store_has_sha256 && from_store.is_none() {
            problems.push(
                Problem::new("auth.store_has_sha256", "no users are taken from a store")
                    .hint("auth.from_store says how they are"),
            );
        }
        let mut users: Vec<User> = Vec::new();
        for (name, user) in self.users {
            let key = format!("auth.users.{name}");
            match user.resolve(&name, &key) {
                Ok(user) if users.iter().any(|other| other.name == user.name) => {
                    problems.push(Problem::new(key, "another user's name is the same to RFC 8265, which STUN's names are written by"));
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
        let (expiry_grace, store_has_sha256) = (self.expiry_grace.0, self.store_has_sha256);
        let rest_name = match self.rest_name {
            RestNameSchema::TimeName => RestName::TimeName,
            RestNameSchema::NameTime => RestName::NameTime,
            RestNameSchema::Either => RestName::Either,
        };
        let auth =
            Auth { users, rest_secrets, rest_name, expiry_grace, from_store, store_has_sha256 };
        if problems.is_empty() { Ok(auth) } else { Err(problems) }
    }
}

impl UserSchema {
    fn resolve(self, name: &str, key: &str) -> Result<User, Vec<Problem>> {
        let mut wrong = Vec::new();
        let problem = |what: String| Problem::new(key, what);
        // RFC 8489 §14.3: "fewer than 509 bytes".
        if name.is_empty() || name.len() >= 509 {
            wrong.push(problem("a user's name has from 1 to 508 bytes".to_owned()));
        }
        let opaque = opaque_string(name)
            .map_err(|error| wrong.push(problem(format!("the name cannot be one: {error}"))));
        let password = required_one_of(
            &format!("{key}.password"),
            self.password,
            self.password_file.as_deref(),
        );
        let password = password.map_err(|problem| wrong.push(problem));
        if password.as_ref().is_ok_and(|password| opaque_string(password.expose()).is_err()) {
            wrong.push(problem(format!("the password cannot be one: {NotOpaque}")));
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
                "not_after is no later than not_before",
            )),
            _ => Ok(Rest { secret, not_before, not_after }),
        }
    }
}
