//! `[store]`: the directory that outlives the process.

use std::path::PathBuf;
use std::time::Duration;

use causeway_daemon::config::values::Interval;
use causeway_daemon::config::{Problem, Secret, one_of, required_one_of};
use causeway_store::{FleetKey, NodeId, NodeLock, RedisSettings};
use serde::Deserialize;
use zeroize::Zeroizing;

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
    /// Where the lock file of the node id is.
    pub(crate) lock_directory: PathBuf,
    /// How long the start waits for the store.
    pub(crate) restore_patience: Duration,
    /// Whether the name may be taken from a server whose heartbeat is fresh.
    pub(crate) take_over: bool,
}

impl StoreSchema {
    /// No store where no URL is given: allocations then live and end with the process. `stream_entries` bounds the accounting stream.
    pub(super) fn resolve(self, stream_entries: usize) -> Result<Option<Store>, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut noted = |outcome: Result<Option<Secret>, String>| match outcome {
            Ok(secret) => secret,
            Err(what) => {
                problems.push(Problem::new("store", what));
                None
            }
        };
        let url = noted(one_of("url", self.url, self.url_file.as_deref()));
        let password = noted(one_of("password", self.password, self.password_file.as_deref()));
        let fleet_key = match url {
            Some(_) => noted(required_one_of("fleet_key", self.fleet_key, self.fleet_key_file.as_deref()).map(Some)),
            None => None,
        };
        let Some(url) = url else {
            return if problems.is_empty() { Ok(None) } else { Err(problems) };
        };
        let node = NodeId::new(&self.node_id).map_err(|error| {
            let hint = "name this server, the same at each start and unlike all others: node_id = \"relay-1\"";
            problems.push(Problem::new("store.node_id", error.to_string()).hint(hint));
        });
        let fleet_key = fleet_key.and_then(|secret| {
            let weak =
                |error: causeway_store::WeakFleetKey| Problem::new("store.fleet_key", error.to_string()).hint("openssl rand -hex 32");
            FleetKey::new(secret.expose().as_bytes()).map_err(|error| problems.push(weak(error))).ok()
        });
        let mut redis = RedisSettings::new(url.expose());
        redis.accounting_entries = stream_entries;
        redis.username = self.username;
        redis.password = password.map(|password| Zeroizing::new(password.expose().to_owned()));
        if let Err(error) = redis.check() {
            problems.push(Problem::new("store.url", error.text).hint("such as redis://127.0.0.1:6379"));
        }
        let restore_patience = self.restore_patience.0;
        if restore_patience > LONGEST_PATIENCE {
            let what = format!("{restore_patience:?} is too long; the maximum is {LONGEST_PATIENCE:?}");
            problems.push(
                Problem::new("store.restore_patience", what).hint("no client is answered meanwhile; calls that are read later go on then"),
            );
        }
        match (node, fleet_key) {
            (Ok(node), Some(fleet_key)) if problems.is_empty() => {
                let lock_directory = self.lock_directory.unwrap_or_else(NodeLock::default_directory);
                Ok(Some(Store { redis, node, fleet_key, lock_directory, restore_patience, take_over: false }))
            }
            _ => Err(problems),
        }
    }
}
