use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use causeway_daemon::addresses;
use causeway_daemon::admin::{Admin, Health, heartbeat_problem};
use causeway_daemon::descriptors::Plan;
use causeway_daemon::lifecycle::Termination;
use causeway_daemon::log;
use causeway_daemon::metrics::{Registry, Source};
use causeway_net::mailbox::{Sender, Undelivered};
use causeway_net::{Clock, EventLoop, Heartbeat};
use causeway_store::{Accounting, State, Status};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::capacity::Capacity;
use crate::config::Config;
use crate::counters::Counters;
use crate::mail::{Mail, tell};
use crate::secure::Secure;
use crate::store::persistence::Persistence;
use crate::store::registry::Registered;

/// How long the workers may take for their last accounts.
const LEAVE: Duration = Duration::from_secs(1);

/// A service whose workers run.
pub(crate) struct Running {
    pub(crate) workers: Vec<WorkerHandle>,
    pub(crate) admin: Option<Admin>,
    pub(crate) plan: Plan,
    pub(crate) capacity: Arc<Capacity>,
    pub(crate) sources: Vec<Source>,
    pub(crate) clock: Clock,
    pub(crate) store: Option<Persistence>,
    pub(crate) secure: Option<Secure>,
    pub(crate) registered: Registered,
}

/// A worker's thread, seen from outside.
pub(crate) struct WorkerHandle {
    /// Returns its loop, whose sockets stay open until all workers have ended.
    pub(crate) thread: JoinHandle<(std::io::Result<()>, EventLoop)>,
    pub(crate) mail: Sender<Mail>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) counters: Arc<Counters>,
}

/// The control side's runtime: one thread beside the workers.
///
/// # Errors
/// The operating system refuses it.
pub(crate) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot make the control side's runtime")
}

/// Takes the signals that end the service. Before a port is open: who starts and stops servers may
/// be quick.
///
/// # Errors
/// The operating system refuses the signal handlers.
pub(crate) fn termination(runtime: &Runtime) -> Result<Termination> {
    runtime.block_on(async { Termination::install() }).context("cannot take signals")
}

/// Waits for the addresses that the configuration names; `false` when a signal asks for the end
/// first.
///
/// # Errors
/// This host does not have them in time.
pub(crate) fn has_addresses(
    config: &Config,
    runtime: &Runtime,
    termination: &mut Termination,
) -> Result<bool> {
    let named = config.addresses();
    match runtime.block_on(termination.unless_requested(addresses::wait(&named, &config.net))) {
        None => Ok(false),
        Some(outcome) => outcome.map(|()| true).map_err(anyhow::Error::msg),
    }
}

/// The control side: answers the admin listener until a signal asks for the end, then stops the
/// workers.
///
/// # Errors
/// The control side's runtime cannot be made, or a worker's loop failed.
pub(crate) fn run(running: Running, runtime: &Runtime, termination: Termination) -> Result<()> {
    let Running { workers, admin, plan, capacity, mut sources, clock, store, secure, registered } =
        running;
    runtime.block_on(async {
        let (stop, stopped) = oneshot::channel::<()>();
        let tls_name = registered.tls_name();
        let spool = store.as_ref().map(Persistence::spool);
        let (writing, store) = match store {
            Some(store) => {
                let handles = workers
                    .iter()
                    .map(|worker| (worker.mail.clone(), Arc::clone(&worker.counters)))
                    .collect();
                let (writing, source, status) =
                    store.writer(handles, registered, async { drop(stopped.await) });
                sources.push(Box::new(source));
                (Some(tokio::spawn(writing)), Some(status))
            }
            None => (None, None),
        };
        if let Some(secure) = secure {
            sources.extend(secure.follow(tls_name));
        }
        let heartbeats = workers.iter().map(|worker| worker.heartbeat.clone()).collect();
        let health = Arc::new(Workers { heartbeats, clock, capacity, store });
        if let Some(mut admin) = admin {
            admin.limit_connections(plan.admin_connections());
            tracing::info!(address = %admin.local_addr()?, "admin listener");
            tokio::spawn(
                admin.serve(health, Registry::new("turnd", env!("CARGO_PKG_VERSION"), sources)),
            );
        }
        tokio::spawn(log::report_suppressed());
        tokio::spawn(plan.report_refusals());
        tracing::info!(workers = workers.len(), "ready");
        causeway_net::release_startup_pages();
        tokio::select! {
            _ = termination.requested() => {}
            () = any_ended(&workers) => tracing::error!("a worker has ended; the others end too"),
        }
        // While the workers still answer: what they have not written yet is written now.
        let deadline = Instant::now() + LEAVE;
        if tokio::time::timeout(LEAVE, leave(&workers, spool.as_ref(), deadline)).await.is_err() {
            tracing::warn!(
                "a worker does not answer; the last accounts of its allocations are lost"
            );
        }
        drop(stop);
        if let Some(writing) = writing {
            writing.await.context("the store's writer failed")?;
        }
        Ok::<(), anyhow::Error>(())
    })?;
    stop(workers)
}

/// Tells the workers that the server stops, and takes the last accounts of their allocations into
/// the store's spool.
async fn leave(workers: &[WorkerHandle], spool: Option<&Accounting>, deadline: Instant) {
    let mut replies = Vec::new();
    for worker in workers {
        let (reply, told) = oneshot::channel();
        tell(&worker.mail, Mail::Leave(reply)).await;
        replies.push(told);
    }
    for told in replies {
        // A worker that has ended drops the letter.
        if let Ok(last) = told.await {
            last.tell(spool, deadline);
        }
    }
}

/// Resolves when a worker has ended, which none does unasked but by a failure of its loop.
async fn any_ended(workers: &[WorkerHandle]) {
    while !workers.iter().any(|worker| worker.thread.is_finished()) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn stop(workers: Vec<WorkerHandle>) -> Result<()> {
    for worker in &workers {
        // A full mailbox is emptied soon; a worker that hears nothing ends with the process.
        if let Err(Undelivered::Full(_)) = worker.mail.send(Mail::Stop) {
            tracing::warn!("a worker's mailbox is full; it ends with the process");
            return Ok(());
        }
    }
    let mut loops = Vec::new();
    for worker in workers {
        let (outcome, event_loop) =
            worker.thread.join().map_err(|_| anyhow!("a worker panicked"))?;
        loops.push(event_loop);
        outcome.context("a worker's event loop failed")?;
    }
    tracing::info!("ended");
    Ok(())
}

struct Workers {
    heartbeats: Vec<Heartbeat>,
    clock: Clock,
    capacity: Arc<Capacity>,
    store: Option<Status>,
}

impl Health for Workers {
    fn health(&self) -> Result<(), String> {
        let now = self.clock.sample().monotonic;
        heartbeat_problem(self.heartbeats.iter().map(|heartbeat| heartbeat.age(now)))
    }

    fn readiness(&self) -> Result<(), String> {
        self.health()?;
        // H48: its calls go on, but a restart would lose them. Any other trouble with the store
        // costs no call.
        if self.store.as_ref().is_some_and(|status| status.state() == State::Fenced) {
            return Err("store: fenced: another server has this node's name".into());
        }
        self.capacity.readiness(self.clock.sample().monotonic)
    }
}
