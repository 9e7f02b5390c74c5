//! `[store]`: the Redis server that keeps allocations over a restart.

use std::path::PathBuf;
use std::time::Duration;

use causeway_daemon::config::values::duration;
use causeway_daemon::config::{Problem, Secret, one_of};
use causeway_store::{FleetKey, NodeId, RedisSettings};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::fleet_key;

/// Maximum of `store.restore_patience`.
const MAX_PATIENCE: Duration = Duration::from_secs(60);

/// The keys of `[store]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreSchema {
    url: Option<Secret>,
    url_file: Option<PathBuf>,
    username: Option<String>,
    password: Option<Secret>,
    password_file: Option<PathBuf>,
    #[serde(default)]
    node_id: String,
    fleet_key: Option<Secret>,
    fleet_key_file: Option<PathBuf>,
    lock_directory: PathBuf,
    #[serde(deserialize_with = "duration")]
    restore_patience: Duration,
}

/// The settings of the store.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// The address and the credentials of the Redis server.
    pub(crate) redis: RedisSettings,
    /// This server's name in the fleet.
    pub(crate) node: NodeId,
    /// The fleet's key, from which the keys of nonces and of sealed records are derived.
    pub(crate) fleet_key: FleetKey,
    /// A warning about that key, if it is weak.
    pub(crate) warning: Option<String>,
    /// The directory of the node id's lock file. The default is one place on a host for all
    /// servers, whatever their environment. No other directory replaces it where only the superuser
    /// may create it: not one of the user or the session, which another server of this name would
    /// not look into, and not one for temporary files, where any user could hold the name first.
    pub(crate) lock_directory: PathBuf,
    /// How long the start waits for the store.
    pub(crate) restore_patience: Duration,
    /// Whether to take the node id from a server whose heartbeat is fresh.
    pub(crate) take_over: bool,
}

impl StoreSchema {
    /// Returns no store where no URL is given: allocations then end with the process.
    /// `stream_entries` is the maximum length of the accounting stream.
    pub(super) fn resolve(self, stream_entries: usize) -> Result<Option<Store>, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut noted = |outcome: Result<Option<Secret>, Problem>| {
            outcome.unwrap_or_else(|problem| {
                problems.push(problem);
                None
            })
        };
        let url_key = if self.url_file.is_some() { "store.url_file" } else { "store.url" };
        let url = noted(one_of("store.url", self.url, self.url_file.as_deref()));
        let password =
            noted(one_of("store.password", self.password, self.password_file.as_deref()));
        let Some(url) = url else {
            return if problems.is_empty() { Ok(None) } else { Err(problems) };
        };
        let fleet_key = fleet_key::read(self.fleet_key, self.fleet_key_file.as_deref())
            .map_err(|problem| problems.push(problem));
        let node = NodeId::new(&self.node_id).map_err(|error| {
            let hint = "give this server a name of its own, the same at each start: \
                        node_id = \"relay-1\"";
            problems.push(Problem::new("store.node_id", error.to_string()).hint(hint));
        });
        let mut redis = RedisSettings::new(url.expose());
        let (has_username, has_password) = redis.url_credentials();
        for (key, is_twice) in [
            ("store.username", has_username && self.username.is_some()),
            ("store.password", has_password && password.is_some()),
        ] {
            if is_twice {
                problems.push(
                    Problem::new(key, format!("{url_key} has one, too"))
                        .hint("keep one of the two"),
                );
            }
        }
        redis.accounting_entries = stream_entries;
        redis.username = self.username;
        redis.password = password.map(|password| Zeroizing::new(password.expose().to_owned()));
        if let Err(error) = redis.check() {
            problems.push(Problem::new(url_key, error.text));
        }
        let restore_patience = self.restore_patience;
        if restore_patience > MAX_PATIENCE {
            let what = format!("{restore_patience:?} is too long; the maximum is {MAX_PATIENCE:?}");
            problems.push(
                Problem::new("store.restore_patience", what).hint(
                    "clients get no answer during the wait; calls that are read later continue",
                ),
            );
        }
        match (node, fleet_key) {
            (Ok(node), Ok((fleet_key, warning))) if problems.is_empty() => Ok(Some(Store {
                redis,
                node,
                fleet_key,
                warning,
                lock_directory: self.lock_directory,
                restore_patience,
                take_over: false,
            })),
            _ => Err(problems),
        }
    }
}
