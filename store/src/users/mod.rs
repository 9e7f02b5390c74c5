//! Users and REST secrets from Redis, cached, and forgotten when they change.

mod cache;
mod door;
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
use door::Door;
pub use keys::{RestSecret, UserKeys};

/// The longest USERNAME or REALM of STUN in bytes, with room; nobody can log in with a longer one.
const MAX_NAME: usize = 1024;

/// How secrets stand in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Sealed with the fleet key: one that stands in clear is not taken.
    Sealed,
    /// In clear; sealed ones are taken, too.
    Clear,
}

/// How users are looked up.
#[derive(Clone, Copy, Debug)]
pub struct UsersSettings {
    /// How secrets stand in the store.
    pub protection: Protection,
    /// For so long a user is known without asking again.
    pub ttl: Duration,
    /// For so long a name is known to be nobody's.
    pub negative_ttl: Duration,
    /// For so long a user who was known is let in while the store is away.
    pub stale: Duration,
    /// Users, and as many names of nobody, that are kept.
    pub capacity: usize,
    /// How often the version is asked for.
    pub poll: Duration,
    /// Look-ups at once; beyond it there is no answer.
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

/// The answer to a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// There is such a user. Whether the keys are still good is for the caller to see.
    Found(Arc<UserKeys>),
    /// There is none.
    Unknown,
    /// The store is away, and nothing is known of the user.
    Unavailable,
}

/// The store is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store of users cannot be asked")]
pub struct Unavailable;

/// Counters since the beginning, and what is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsersReport {
    /// Look-ups answered from memory.
    pub hits: u64,
    /// Look-ups that asked the store.
    pub asked: u64,
    /// Look-ups that an older answer had to serve, since the store was away.
    pub stale: u64,
    /// Look-ups without an answer.
    pub unavailable: u64,
    /// Users and secrets that are not as they should be, or not sealed.
    pub malformed: u64,
    /// Times that everything was forgotten because something had changed.
    pub revocations: u64,
    /// Users in memory.
    pub cached: u64,
}

/// The users of a Redis server. One for the process, on the control side.
pub struct Users {
    door: Door,
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
    nobody: Cache<Name, ()>,
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
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn new(
        redis: &RedisSettings,
        fleet_key: FleetKey,
        settings: UsersSettings,
    ) -> Result<Self, StoreError> {
        let memory = Memory {
            users: Cache::new(settings.capacity),
            nobody: Cache::new(settings.capacity),
            secrets: Cache::new(64),
        };
        Ok(Self {
            door: Door::new(Link::new(redis)?),
            fleet_key,
            settings,
            memory: Mutex::new(memory),
            changes: watch::Sender::new(0),
            permits: Semaphore::new(settings.parallel),
            counters: Counters::default(),
        })
    }

    /// The keys of a user.
    pub async fn lookup(&self, realm: &str, username: &str) -> Lookup {
        if username.is_empty() || username.len() > MAX_NAME || realm.len() > MAX_NAME {
            return Lookup::Unknown;
        }
        let name = (realm.to_owned(), username.to_owned());
        if let Some(known) = self.known(&name) {
            count(&self.counters.hits);
            return known;
        }
        // Taken before asking: an answer from before a change must not be kept after it.
        let seen = *self.changes.borrow();
        let Ok(_permit) = self.permits.try_acquire() else {
            // The store may be there: what may have been revoked does not count because others ask
            // much.
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

    /// The answer where the store was not asked, or did not answer.
    fn stand_in(&self, known: Option<Arc<UserKeys>>) -> Lookup {
        count(if known.is_some() { &self.counters.stale } else { &self.counters.unavailable });
        known.map_or(Lookup::Unavailable, Lookup::Found)
    }

    /// The secrets that REST credentials of a realm are minted with, in the order of their names.
    ///
    /// # Errors
    /// When the store is away and they are not known.
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
            .door
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

    /// Asks for the version again and again, and has everything asked for again when it has
    /// changed: a task of its own, that never ends.
    pub async fn watch(&self) {
        let mut seen: Option<Option<Vec<u8>>> = None;
        loop {
            let mut get = redis::cmd("GET");
            get.arg(USERS_VERSION);
            let asked = self
                .door
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

    /// Has everything that was learned asked for again, and tells those who listen to
    /// [`changes`](Self::changes). Where the store is away by then, what was known still serves
    /// for its time.
    pub fn forget(&self) {
        let mut memory = self.memory();
        memory.users.outdate();
        memory.nobody.clear();
        memory.secrets.outdate();
        // While the memory is locked: who learns compares under the same lock.
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Counts up whenever users or secrets have changed: whoever keeps keys of his own asks again
    /// then.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// For metrics.
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
            memory.nobody.find(name, self.settings.negative_ttl, now).map(|()| Lookup::Unknown)
        })
    }

    fn learn(&self, name: Name, user: Option<Arc<UserKeys>>, seen: u64) -> Lookup {
        let (mut memory, now) = (self.memory(), Instant::now());
        let current = *self.changes.borrow() == seen;
        match user {
            Some(user) => {
                if current {
                    memory.nobody.remove(&name);
                    memory.users.insert(name, Arc::clone(&user), now);
                }
                Lookup::Found(user)
            }
            None => {
                memory.users.remove(&name);
                if current {
                    memory.nobody.insert(name, (), now);
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
            .door
            .ask(async |mut connection| {
                hmget.query_async::<Vec<Option<Vec<u8>>>>(&mut connection).await
            })
            .await;
        let fields = match asked {
            Ok(fields) => fields.try_into().unwrap_or_default(),
            Err(error) if door::is_wrong_type(&error) => {
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
        // A panic aborts the process; where it does not, in tests, each statement leaves the memory
        // whole.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
