//! The control side: answers operators and writes to the store while the workers run, and takes
//! their last accounts at the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use causeway_daemon::admin::Health;
use causeway_daemon::lifecycle::Termination;
use causeway_daemon::metrics::{Registry, Source};
use causeway_daemon::service::{Heartbeats, Running, Secure};
use causeway_net::mailbox::Sender;
use causeway_store::{Accounting, State, Status};
use tokio::sync::oneshot;

use crate::capacity::Capacity;
use crate::counters::Counters;
use crate::mail::{Mail, tell};
use crate::store::persistence::Persistence;
use crate::store::registry::Registered;

/// How long the workers may take for their last accounts.
const LEAVE: Duration = Duration::from_secs(1);

/// A server whose workers run.
pub(crate) struct Started {
    pub(crate) running: Running<Mail>,
    /// One for each worker.
    pub(crate) counters: Vec<Arc<Counters>>,
    pub(crate) sources: Vec<Source>,
    pub(crate) capacity: Arc<Capacity>,
    pub(crate) store: Option<Persistence>,
    pub(crate) secure: Option<Secure>,
    pub(crate) registered: Registered,
}

impl Started {
    /// Serves until a signal asks for the end, or a worker fails; then stops the workers.
    ///
    /// # Errors
    /// A worker, the admin listener or the writer of the store failed.
    pub(crate) async fn serve(self, termination: Termination) -> Result<()> {
        let Self { mut running, counters, mut sources, capacity, store, secure, registered } = self;
        if let Some(secure) = secure {
            let name = registered.tls_name();
            sources.extend(secure.follow(move |identities| name.set(identities)));
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let spool = store.as_ref().map(Persistence::spool);
        let (writing, store) = match store {
            Some(store) => {
                let workers = running.threads.senders().iter().cloned().zip(counters).collect();
                let (writing, source, status) =
                    store.writer(workers, registered, async { drop(stopped.await) });
                sources.push(Box::new(source));
                (Some(tokio::spawn(writing)), Some(status))
            }
            None => (None, None),
        };
        let health = Readiness { heartbeats: running.threads.heartbeats(), capacity, store };
        let metrics = Registry::new("turnd", env!("CARGO_PKG_VERSION"), sources);
        let outcome = running.serve(termination, Arc::new(health), metrics).await;
        // While the workers still answer: what they have not written yet is written now.
        leave(running.threads.senders(), spool.as_ref()).await;
        drop(stop);
        if let Some(writing) = writing {
            writing.await.context("the store's writer failed")?;
        }
        Ok(outcome.and(running.threads.stop(|| Mail::Stop))?)
    }
}

/// Tells the workers that the server stops, and takes the last accounts of their allocations into
/// the store's spool.
async fn leave(workers: &[Sender<Mail>], spool: Option<&Accounting>) {
    let deadline = Instant::now() + LEAVE;
    let accounts = async {
        let mut replies = Vec::new();
        for worker in workers {
            let (reply, told) = oneshot::channel();
            tell(worker, Mail::Leave(reply)).await;
            replies.push(told);
        }
        for told in replies {
            // A worker that has ended drops the message.
            if let Ok(last) = told.await {
                last.tell(spool, deadline);
            }
        }
    };
    if tokio::time::timeout(LEAVE, accounts).await.is_err() {
        tracing::warn!("a worker does not answer; the last accounts of its allocations are lost");
    }
}

/// Whether the process works, and whether new clients may be sent to it.
struct Readiness {
    heartbeats: Heartbeats,
    capacity: Arc<Capacity>,
    store: Option<Status>,
}

impl Health for Readiness {
    fn health(&self) -> Result<(), String> {
        self.heartbeats.health()
    }

    fn readiness(&self) -> Result<(), String> {
        self.health()?;
        // H48: its calls go on, but a restart would lose them. Any other trouble with the store
        // costs no call.
        if self.store.as_ref().is_some_and(|status| status.state() == State::Fenced) {
            return Err("store: fenced: another server has this node's name".into());
        }
        self.capacity.readiness(self.heartbeats.now())
    }
}
