//! Users that are kept in the store: workers ask, the control side looks up and answers, and nobody
//! waits for anybody (H45).

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

/// Questions of all workers that may wait; beyond it nobody is asked, and the client sends its
/// request again.
const QUESTIONS: usize = 4096;
/// Look-ups at once.
const AT_ONCE: usize = 256;
/// Secrets are asked for again after so long, or when the store says that something has changed.
const SECRETS_AGAIN: Duration = Duration::from_secs(60);
/// The same, while they could not be had.
const SECRETS_RETRY: Duration = Duration::from_secs(1);

/// A worker wants to know a user's key.
struct Question {
    worker: u16,
    username: Box<str>,
}

/// What a worker asks by.
#[derive(Clone)]
pub(crate) struct KeyQuestions(Outbox<Question>);

impl KeyQuestions {
    /// Asks, unless too many questions wait.
    pub(crate) fn ask(&self, worker: u16, username: Box<str>) {
        // Where there is no room, whoever waits for the answer is dropped in time, and asks again
        // by its retransmission.
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
    /// The users of the store, if the configuration says that there are any. Connects to nobody
    /// yet.
    ///
    /// # Errors
    /// The store's URL cannot be used.
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

    /// What a worker asks by.
    pub(crate) fn questions(&self) -> KeyQuestions {
        KeyQuestions(self.outbox.clone())
    }

    /// Starts the tasks that answer and that follow what changes. `authenticator` is the realm as
    /// the configuration has it. What it yields is for the metrics.
    pub(crate) fn start(
        self,
        runtime: &Handle,
        authenticator: Arc<Authenticator>,
        workers: Vec<Sender<Mail>>,
    ) -> impl Fn(&mut Samples) + Send + Sync + use<> {
        let changes = self.users.changes();
        let users = Arc::clone(&self.users);
        let desk = Arc::new(Desk {
            users: Arc::clone(&users),
            realm: self.realm,
            workers,
            secrets_known: AtomicBool::new(false),
        });
        runtime.spawn(async move { users.watch().await });
        runtime.spawn(follow(Arc::clone(&desk), authenticator, changes));
        runtime.spawn(answer(desk, self.inbox));
        let users = self.users;
        move |samples: &mut Samples| collect(samples, &users)
    }
}

/// What the tasks share.
struct Desk {
    users: Arc<Users>,
    realm: Box<str>,
    workers: Vec<Sender<Mail>>,
    /// Until the secrets are known, a name that is nobody's may still be one that a secret has
    /// minted.
    secrets_known: AtomicBool,
}

impl Desk {
    async fn look_up(self: Arc<Self>, question: Question) -> (Question, KeyAnswer) {
        let mut changes = self.users.changes();
        loop {
            changes.mark_unchanged();
            let lookup = self.users.lookup(&self.realm, &question.username).await;
            // What was asked before a change and answered after it counts no more.
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

/// Takes questions and hands out answers.
async fn answer(desk: Arc<Desk>, mut inbox: Inbox<Question>) {
    let mut lookups = JoinSet::new();
    loop {
        tokio::select! {
            question = inbox.next(), if lookups.len() < AT_ONCE => {
                let Some(question) = question else { return };
                lookups.spawn(Arc::clone(&desk).look_up(question));
            }
            Some(Ok((question, answer))) = lookups.join_next() => {
                if let Some(worker) = desk.workers.get(usize::from(question.worker)) {
                    // A worker whose mailbox is full gets on without: its client sends the request again.
                    drop(worker.send(Mail::Key { username: question.username, answer }));
                }
            }
        }
    }
}

/// Has the workers forget what has changed, and gives them the realm with the secrets of the store.
async fn follow(desk: Arc<Desk>, base: Arc<Authenticator>, mut changes: watch::Receiver<u64>) {
    let mut applied = Vec::new();
    loop {
        let again = match desk.users.secrets(&desk.realm).await {
            Ok(secrets) => {
                if secrets != applied {
                    let minting = secrets
                        .iter()
                        .map(|secret| RestSecret::new(&secret.secret).until(secret.not_after));
                    tell_all(
                        &desk.workers,
                        &Command::SetAuthenticator(Arc::new(base.with_rest_secrets(minting))),
                    )
                    .await;
                    tracing::info!(secrets = secrets.len(), "REST secrets of the store");
                    applied = secrets;
                }
                desk.secrets_known.store(true, Ordering::Relaxed);
                SECRETS_AGAIN
            }
            Err(_) => SECRETS_RETRY,
        };
        if let Ok(Ok(())) = timeout(again, changes.changed()).await {
            tell_all(&desk.workers, &Command::ForgetKeys).await;
        }
    }
}

/// A user with the keys that the store has: one an algorithm, one at least.
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

const LOOKUPS: Family =
    Family::counter("store_user_lookups", "Look-ups of users in the store, by what they ended in");
const MALFORMED: Family = Family::counter(
    "store_users_malformed",
    "Users and secrets of the store that cannot be taken as they are",
);
const REVOCATIONS: Family =
    Family::counter("store_user_changes", "Times that users or secrets had changed in the store");
const CACHED: Family =
    Family::gauge("store_users_cached", "Users of the store that are remembered");

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
