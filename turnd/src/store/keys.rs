//! Users that are kept in the store: workers ask for a key, and a task of the control side looks it
//! up and answers. No worker waits (H45).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use causeway_auth::{Authenticator, Credential, Key, RestSecret};
use causeway_daemon::metrics::{Family, Samples};
use causeway_net::mailbox::Sender;
use causeway_relay::{Command, KeyAnswer};
use causeway_store::{KeyAlgorithm, LongTermKey, Lookup, UserKeys, Users, UsersSettings};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::Config;
use crate::inbox::{Inbox, Outbox, inbox};
use crate::mail::Mail;
use crate::mail::tell_all;

/// Maximum number of waiting questions of all workers. Beyond it a question is dropped, and the
/// client retransmits its request.
const QUESTIONS: usize = 4096;
/// Maximum number of concurrent look-ups.
const AT_ONCE: usize = 256;
/// How often to read the secrets again, unless the store reports a change earlier.
const SECRETS_AGAIN: Duration = Duration::from_secs(60);
/// How often to retry while the secrets cannot be read.
const SECRETS_RETRY: Duration = Duration::from_secs(1);

/// A worker's question for a user's key.
struct Question {
    worker: u16,
    username: Box<str>,
}

/// A worker's way to ask for keys.
#[derive(Clone)]
pub(crate) struct KeyQuestions(Outbox<Question>);

impl KeyQuestions {
    /// Asks for a key, unless too many questions wait.
    pub(crate) fn ask(&self, worker: u16, username: Box<str>) {
        // If there is no room, the parked request times out, and the client's retransmission asks
        // again.
        let _unasked = self.0.send(Question { worker, username });
    }
}

/// The control side's end.
pub(crate) struct Keys {
    users: Arc<Users>,
    realm: Box<str>,
    outbox: Outbox<Question>,
    inbox: Inbox<Question>,
}

impl Keys {
    /// Creates the look-up of the store's users without connecting; `None` if the configuration
    /// does not use them.
    ///
    /// # Errors
    /// The store's URL is not usable.
    pub(crate) fn new(config: &Config) -> Result<Option<Self>> {
        let (Some(store), Some(protection)) = (&config.store, config.auth.from_store) else {
            return Ok(None);
        };
        let settings = UsersSettings { protection, parallel: AT_ONCE, ..UsersSettings::default() };
        let users = Users::new(&store.redis, store.fleet_key.clone(), settings);
        let users = Arc::new(users.map_err(|error| anyhow::anyhow!("store.url: {}", error.text))?);
        let (outbox, inbox) = inbox(QUESTIONS);
        Ok(Some(Self { users, realm: config.realm.as_str().into(), outbox, inbox }))
    }

    /// Creates a worker's way to ask for keys.
    pub(crate) fn questions(&self) -> KeyQuestions {
        KeyQuestions(self.outbox.clone())
    }

    /// Starts the tasks that answer questions and follow changes. `authenticator` is the realm as
    /// configured. Returns a source of metrics.
    pub(crate) fn start(
        self,
        runtime: &Handle,
        authenticator: Arc<Authenticator>,
        workers: Vec<Sender<Mail>>,
    ) -> impl Fn(&mut Samples) + Send + Sync + use<> {
        let changes = self.users.changes();
        let users = Arc::clone(&self.users);
        let shared = Arc::new(Shared {
            users: Arc::clone(&users),
            realm: self.realm,
            workers,
            secrets_known: AtomicBool::new(false),
        });
        runtime.spawn(async move { users.watch().await });
        runtime.spawn(follow(Arc::clone(&shared), authenticator, changes));
        runtime.spawn(answer(shared, self.inbox));
        let users = self.users;
        move |samples: &mut Samples| collect(samples, &users)
    }
}

/// The state that the tasks share.
struct Shared {
    users: Arc<Users>,
    realm: Box<str>,
    workers: Vec<Sender<Mail>>,
    /// Whether the secrets were read. Until then, an unknown name may still be one that a secret
    /// has minted.
    secrets_known: AtomicBool,
}

impl Shared {
    async fn look_up(self: Arc<Self>, question: Question) -> (Question, KeyAnswer) {
        let mut changes = self.users.changes();
        loop {
            changes.mark_unchanged();
            let lookup = self.users.lookup(&self.realm, &question.username).await;
            // An answer to a question from before a change is outdated.
            if changes.has_changed().unwrap_or(false) {
                continue;
            }
            let answer = match lookup {
                Lookup::Found(keys) => credential(&question.username, &keys)
                    .map_or(KeyAnswer::Unknown, KeyAnswer::Found),
                Lookup::Unknown if self.secrets_known.load(Ordering::Relaxed) => KeyAnswer::Unknown,
                Lookup::Unknown | Lookup::Unavailable => KeyAnswer::Unavailable,
            };
            return (question, answer);
        }
    }
}

/// Takes questions and sends the answers.
async fn answer(shared: Arc<Shared>, mut inbox: Inbox<Question>) {
    let mut lookups = JoinSet::new();
    loop {
        tokio::select! {
            question = inbox.next(), if lookups.len() < AT_ONCE => {
                let Some(question) = question else { return };
                lookups.spawn(Arc::clone(&shared).look_up(question));
            }
            Some(Ok((question, answer))) = lookups.join_next() => {
                if let Some(worker) = shared.workers.get(usize::from(question.worker)) {
                    // A full mailbox loses the answer: the client retransmits its request.
                    drop(worker.send(Mail::Key { username: question.username, answer }));
                }
            }
        }
    }
}

/// Makes the workers forget keys after a change, and sends them the realm with the store's secrets.
async fn follow(shared: Arc<Shared>, base: Arc<Authenticator>, mut changes: watch::Receiver<u64>) {
    let mut applied = Vec::new();
    loop {
        let again = match shared.users.secrets(&shared.realm).await {
            Ok(secrets) => {
                if secrets != applied {
                    let minting = secrets
                        .iter()
                        .map(|secret| RestSecret::new(&secret.secret).until(secret.not_after));
                    tell_all(
                        &shared.workers,
                        &Command::SetAuthenticator(Arc::new(base.with_rest_secrets(minting))),
                    )
                    .await;
                    tracing::info!(secrets = secrets.len(), "REST secrets read from the store");
                    applied = secrets;
                }
                shared.secrets_known.store(true, Ordering::Relaxed);
                SECRETS_AGAIN
            }
            Err(_) => SECRETS_RETRY,
        };
        if let Ok(Ok(())) = timeout(again, changes.changed()).await {
            tell_all(&shared.workers, &Command::ForgetKeys).await;
        }
    }
}

/// A credential with the keys from the store: one per algorithm, at least one.
fn credential(username: &str, keys: &UserKeys) -> Option<Arc<Credential>> {
    let key = |key: &LongTermKey| match key.algorithm() {
        KeyAlgorithm::Md5 => Key::from_md5(key.as_bytes()),
        KeyAlgorithm::Sha256 => Key::from_sha256(key.as_bytes()),
    };
    let mut keys_here = keys.keys.iter().filter_map(key);
    let first = keys_here.next()?;
    let credential = match keys.not_after {
        Some(not_after) => Credential::expiring(username, 0..username.len(), first, not_after),
        None => Credential::new(username, first),
    };
    Some(Arc::new(keys_here.fold(credential, Credential::with_key)))
}

const LOOKUPS: Family = Family::counter(
    "store_user_lookups",
    "Look-ups of users in the store, by the source of the answer",
);
const MALFORMED: Family =
    Family::counter("store_users_malformed", "Malformed users and secrets in the store");
const REVOCATIONS: Family = Family::counter(
    "store_user_changes",
    "Changes of users or secrets that were noticed in the store",
);
const CACHED: Family = Family::gauge("store_users_cached", "Cached users of the store");

fn collect(samples: &mut Samples, users: &Users) {
    let report = users.report();
    for (from, count) in [
        ("memory", report.hits),
        ("store", report.asked),
        ("stale", report.stale),
        ("unavailable", report.unavailable),
    ] {
        samples.add(&LOOKUPS, &[("from", from.into())], count);
    }
    samples.add(&MALFORMED, &[], report.malformed);
    samples.add(&REVOCATIONS, &[], report.revocations);
    samples.add(&CACHED, &[], report.cached);
}
