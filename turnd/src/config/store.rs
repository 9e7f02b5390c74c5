//! `[store]`: the directory that outlives the process.

use std::path::PathBuf;
use std::time::Duration;

use causeway_daemon::config::values::Interval;
use causeway_daemon::config::{Problem, Secret, one_of};
use causeway_store::{FleetKey, NodeId, NodeLock, RedisSettings};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::fleet_key;

/// How long a start may wait for the store at most.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

/// The keys of `[store]`, as written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StoreSchema {
    url: Option<Secret>,
    url_file: Option<PathBuf>,
    username: Option<String>,
    password: Option<Secret>,
    password_file: Option<PathBuf>,
    node_id: String,
    fleet_key: Option<Secret>,
    fleet_key_file: Option<PathBuf>,
    lock_directory: Option<PathBuf>,
    restore_patience: Interval,
}

impl Default for StoreSchema {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            username: None,
            password: None,
            password_file: None,
            node_id: String::new(),
            fleet_key: None,
            fleet_key_file: None,
            lock_directory: None,
            restore_patience: Interval::seconds(3),
        }
    }
}

/// A Redis server that keeps what this one would lose.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// How it is reached.
    pub(crate) redis: RedisSettings,
    /// This server's name in the fleet.
    pub(crate) node: NodeId,
    /// What nonces and seals are made from.
    pub(crate) fleet_key: FleetKey,
    /// What is to be told of that key.
    pub(crate) warning: Option<String>,
    /// Where the lock file of the node id is.
    pub(crate) lock_directory: PathBuf,
    /// How long the start waits for the store.
    pub(crate) restore_patience: Duration,
    /// Whether the name may be taken from a server whose heartbeat is fresh.
    pub(crate) take_over: bool,
}

impl StoreSchema {
    /// No store where no URL is given: allocations then live and end with the process.
    /// `stream_entries` bounds the accounting stream.
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
            let hint = "name this server, the same at each start and unlike all others: node_id = \"relay-1\"";
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
        let restore_patience = self.restore_patience.0;
        if restore_patience > LONGEST_PATIENCE {
            let what =
                format!("{restore_patience:?} is too long; the maximum is {LONGEST_PATIENCE:?}");
            problems.push(
                Problem::new("store.restore_patience", what)
                    .hint("no client is answered meanwhile; calls that are read later go on then"),
            );
        }
        match (node, fleet_key) {
            (Ok(node), Ok((fleet_key, warning))) if problems.is_empty() => {
                let lock_directory =
                    self.lock_directory.unwrap_or_else(NodeLock::default_directory);
                Ok(Some(Store {
                    redis,
                    node,
                    fleet_key,
                    warning,
                    lock_directory,
                    restore_patience,
                    take_over: false,
                }))
            }
            _ => Err(problems),
        }
    }
}
