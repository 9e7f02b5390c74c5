//! Users and REST secrets from Redis, cached, and dropped from the cache when they change.

mod cache;
mod connection;
mod keys;
mod provision;
mod secret;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use crate::error::StoreError;
use crate::fleet_key::FleetKey;
use crate::redis::RedisSettings;
use crate::redis::keys::{USERS_VERSION, secret as secret_key, user as user_key};
use crate::redis::link::Link;
use cache::Cache;
use connection::SharedConnection;
pub use keys::{RestSecret, UserKeys};
pub use secret::Protection;

/// Maximum length of a user name or realm, in bytes; longer ones are impossible in STUN.
const MAX_NAME: usize = 1024;

/// Protection, cache times and limits of look-ups.
#[derive(Clone, Copy, Debug)]
pub struct UsersSettings {
    /// Whether secrets in the store must be sealed.
    pub protection: Protection,
    /// How long a user is cached.
    pub ttl: Duration,
    /// How long an unknown name is cached.
    pub negative_ttl: Duration,
    /// How long a cached user stays valid while the store is away.
    pub stale: Duration,
    /// Maximum number of cached users, and of cached unknown names.
    pub capacity: usize,
    /// How often the version is polled.
    pub poll: Duration,
    /// Maximum number of concurrent look-ups; further ones are not sent to the store.
    pub parallel: usize,
}

impl Default for UsersSettings {
    fn default() -> Self {
        Self {
            protection: Protection::Sealed,
            ttl: Duration::from_secs(300),
            negative_ttl: Duration::from_secs(10),
            stale: Duration::from_secs(3600),
            capacity: 50_000,
            poll: Duration::from_secs(1),
            parallel: 1024,
        }
    }
}

/// The result of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The user exists. The caller checks whether the keys have expired.
    Found(Arc<UserKeys>),
    /// The user does not exist.
    Unknown,
    /// The store is away, and the user is not cached.
    Unavailable,
}

/// The store is away, and nothing is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store of users is unavailable")]
pub struct Unavailable;

/// Counters since the start, and the size of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsersReport {
    /// Look-ups answered from the cache.
    pub hits: u64,
    /// Look-ups sent to the store.
    pub asked: u64,
    /// Look-ups answered with an older value because the store was away.
    pub stale: u64,
    /// Look-ups that could not be answered.
    pub unavailable: u64,
    /// Users and secrets that are malformed, or in clear where they must be sealed.
    pub malformed: u64,
    /// How often the cache was outdated because users or secrets had changed.
    pub revocations: u64,
    /// Number of cached users.
    pub cached: u64,
}

/// The users of a Redis server. One for the process, on the control side.
pub struct Users {
    connection: SharedConnection,
    fleet_key: FleetKey,
    settings: UsersSettings,
    memory: Mutex<Memory>,
    changes: watch::Sender<u64>,
    permits: Semaphore,
    counters: Counters,
}

type Name = (String, String);

struct Memory {
    users: Cache<Name, Arc<UserKeys>>,
    unknown: Cache<Name, ()>,
    secrets: Cache<String, Vec<RestSecret>>,
}

#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    asked: AtomicU64,
    stale: AtomicU64,
    unavailable: AtomicU64,
    malformed: AtomicU64,
}

impl Users {
    /// Creates the look-up without connecting.
    ///
    /// # Errors
    /// The URL is not usable.
    pub fn new(
        redis: &RedisSettings,
        fleet_key: FleetKey,
        settings: UsersSettings,
    ) -> Result<Self, StoreError> {
        let memory = Memory {
            users: Cache::new(settings.capacity),
            unknown: Cache::new(settings.capacity),
            secrets: Cache::new(64),
        };
        Ok(Self {
            connection: SharedConnection::new(Link::new(redis)?),
            fleet_key,
            settings,
            memory: Mutex::new(memory),
            changes: watch::Sender::new(0),
            permits: Semaphore::new(settings.parallel),
            counters: Counters::default(),
        })
    }

    /// Looks up the keys of a user.
    pub async fn lookup(&self, realm: &str, username: &str) -> Lookup {
        if username.is_empty() || username.len() > MAX_NAME || realm.len() > MAX_NAME {
            return Lookup::Unknown;
        }
        let name = (realm.to_owned(), username.to_owned());
        if let Some(known) = self.known(&name) {
            count(&self.counters.hits);
            return known;
        }
        // Read before asking: an answer from before a change must not be cached after it.
        let seen = *self.changes.borrow();
        let Ok(_permit) = self.permits.try_acquire() else {
            // The store may be reachable: a value that may have been revoked is not used only
            // because others ask a lot.
            return self.stand_in(self.memory().users.find(
                &name,
                self.settings.stale,
                Instant::now(),
            ));
        };
        match self.ask_user(realm, username).await {
            Ok(user) => self.learn(name, user.map(Arc::new), seen),
            Err(Unavailable) => self.stand_in(self.memory().users.find_stale(
                &name,
                self.settings.stale,
                Instant::now(),
            )),
        }
    }

    /// The answer if the store was not asked or did not answer.
    fn stand_in(&self, known: Option<Arc<UserKeys>>) -> Lookup {
        count(if known.is_some() { &self.counters.stale } else { &self.counters.unavailable });
        known.map_or(Lookup::Unavailable, Lookup::Found)
    }

    /// The secrets that mint the REST credentials of a realm, in the order of their names.
    ///
    /// # Errors
    /// The store is away, and the secrets are not cached.
    pub async fn secrets(&self, realm: &str) -> Result<Vec<RestSecret>, Unavailable> {
        let realm = realm.to_owned();
        if let Some(secrets) = self.memory().secrets.find(&realm, self.settings.ttl, Instant::now())
        {
            return Ok(secrets);
        }
        let seen = *self.changes.borrow();
        let key = secret_key(&realm);
        let mut hgetall = redis::cmd("HGETALL");
        hgetall.arg(&key);
        let asked = self
            .connection
            .ask(async |mut connection| {
                hgetall.query_async::<Vec<(Vec<u8>, Vec<u8>)>>(&mut connection).await
            })
            .await;
        let Ok(fields) = asked else {
            return self
                .memory()
                .secrets
                .find_stale(&realm, self.settings.stale, Instant::now())
                .ok_or(Unavailable);
        };
        let (secrets, malformed) =
            keys::secrets(&self.fleet_key, self.settings.protection, &key, fields);
        self.counters.malformed.fetch_add(malformed, Relaxed);
        let mut memory = self.memory();
        if *self.changes.borrow() == seen {
            memory.secrets.insert(realm, secrets.clone(), Instant::now());
        }
        Ok(secrets)
    }

    /// Polls the version, and calls [`forget`](Self::forget) when it has changed. Runs as a task of
    /// its own that never ends.
    pub async fn watch(&self) {
        let mut seen: Option<Option<Vec<u8>>> = None;
        loop {
            let mut get = redis::cmd("GET");
            get.arg(USERS_VERSION);
            let asked = self
                .connection
                .ask(async |mut connection| {
                    get.query_async::<Option<Vec<u8>>>(&mut connection).await
                })
                .await;
            if let Ok(version) = asked {
                if seen.as_ref().is_some_and(|seen| *seen != version) {
                    self.forget();
                }
                seen = Some(version);
            }
            tokio::time::sleep(self.settings.poll).await;
        }
    }

    /// Outdates the cache and notifies the receivers of [`changes`](Self::changes). While the store
    /// is away, cached values still serve for their time.
    pub fn forget(&self) {
        let mut memory = self.memory();
        memory.users.outdate();
        memory.unknown.clear();
        memory.secrets.outdate();
        // Under the lock of the cache, under which `learn` compares this number.
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// A counter of changes to users or secrets: callers that keep keys must look them up again
    /// when it changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The counters, for metrics.
    #[must_use]
    pub fn report(&self) -> UsersReport {
        let counters = &self.counters;
        UsersReport {
            hits: counters.hits.load(Relaxed),
            asked: counters.asked.load(Relaxed),
            stale: counters.stale.load(Relaxed),
            unavailable: counters.unavailable.load(Relaxed),
            malformed: counters.malformed.load(Relaxed),
            revocations: *self.changes.borrow(),
            cached: self.memory().users.len() as u64,
        }
    }

    fn known(&self, name: &Name) -> Option<Lookup> {
        let (memory, now) = (self.memory(), Instant::now());
        let found = memory.users.find(name, self.settings.ttl, now).map(Lookup::Found);
        found.or_else(|| {
            memory.unknown.find(name, self.settings.negative_ttl, now).map(|()| Lookup::Unknown)
        })
    }

    fn learn(&self, name: Name, user: Option<Arc<UserKeys>>, seen: u64) -> Lookup {
        let (mut memory, now) = (self.memory(), Instant::now());
        let current = *self.changes.borrow() == seen;
        match user {
            Some(user) => {
                if current {
                    memory.unknown.remove(&name);
                    memory.users.insert(name, Arc::clone(&user), now);
                }
                Lookup::Found(user)
            }
            None => {
                memory.users.remove(&name);
                if current {
                    memory.unknown.insert(name, (), now);
                }
                Lookup::Unknown
            }
        }
    }

    async fn ask_user(&self, realm: &str, username: &str) -> Result<Option<UserKeys>, Unavailable> {
        count(&self.counters.asked);
        let key = user_key(realm, username);
        let mut hmget = redis::cmd("HMGET");
        hmget.arg(&key).arg(keys::ALGORITHMS[0].1).arg(keys::ALGORITHMS[1].1).arg(keys::NOT_AFTER);
        let asked = self
            .connection
            .ask(async |mut connection| {
                hmget.query_async::<Vec<Option<Vec<u8>>>>(&mut connection).await
            })
            .await;
        let fields = match asked {
            Ok(fields) => fields.try_into().unwrap_or_default(),
            Err(error) if connection::is_wrong_type(&error) => {
                count(&self.counters.malformed);
                return Ok(None);
            }
            Err(_) => return Err(Unavailable),
        };
        Ok(keys::user(&self.fleet_key, self.settings.protection, &key, fields).unwrap_or_else(
            |_| {
                count(&self.counters.malformed);
                None
            },
        ))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // A panic aborts the process. Where it does not, in tests, each statement leaves the cache
        // consistent.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
