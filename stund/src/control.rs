//! The control side of the workers: their threads, their pulse, their end.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use causeway_auth::{Limiter, LimiterSettings};
use causeway_daemon::admin::{Health, heartbeat_problem};
use causeway_daemon::config::Transport;
use causeway_daemon::descriptors::{Plan, Wanted};
use causeway_daemon::metrics::{Registry, Samples, Source};
use causeway_net::{Backend, ClientLimit, Clock, EventLoop, Heartbeat, Mailbox, Stats, mailbox};
use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::connections::Connections;
use crate::counts::Counts;
use crate::endpoint::Sockets;
use crate::secure::Secure;
use crate::worker::{Letter, Worker};

/// The most letters that wait for a worker.
const MAILBOX: usize = 16;

/// The running workers.
pub(crate) struct Workers {
    threads: Vec<(mailbox::Sender<Letter>, JoinHandle<()>)>,
    shards: Vec<Shard>,
    ended: mpsc::Receiver<io::Result<()>>,
    clock: Clock,
    backend: Backend,
    /// How the limit of open files is divided.
    plan: Plan,
    /// Where TLS or DTLS is served.
    secure: Option<Secure>,
}

/// What one worker shows.
#[derive(Clone)]
struct Shard {
    counts: Arc<Counts>,
    stats: Arc<Stats>,
    heartbeat: Heartbeat,
}

impl Workers {
    /// Starts a thread for each worker's sockets.
    ///
    /// # Errors
    /// When the process is out of descriptors, memory or threads.
    pub(crate) fn start(config: &Config, limit: u64, sockets: Vec<Sockets>) -> io::Result<Self> {
        let clock = Clock::start();
        let limits = &config.limits;
        let streams = ClientLimit::new(limits.tcp_connections, limits.tcp_connections_per_prefix);
        let associations =
            ClientLimit::new(limits.dtls_associations, limits.dtls_associations_per_prefix);
        if let Some(tls) = &config.tls {
            tls.warn_if_unused(&config.listen);
        }
        let secure =
            config.tls.clone().map(|tls| Secure::start(tls, &config.limits)).transpose()?;
        let (tell, ended) = mpsc::channel(sockets.len().max(1));
        let handshaker = secure.as_ref().map(Secure::handshaker);
        let make = |backend| EventLoop::with_backend(clock, backend, handshaker);
        let (backend, loops) = config.net.make_loops(false, make)?;
        let plan = Plan::new(limit, &wanted(config))?;
        let mut workers = Workers {
            threads: Vec::new(),
            shards: Vec::new(),
            ended,
            clock,
            backend,
            plan,
            secure,
        };
        for ((index, sockets), mut event_loop) in sockets.into_iter().enumerate().zip(loops) {
            let counts = Arc::new(Counts::default());
            let connections = Connections::new(
                Arc::clone(&streams),
                Arc::clone(&associations),
                config.limits.tcp_idle_timeout,
            );
            let share = config
                .limits
                .unauthenticated_per_prefix
                .map(|settings| settings.of_one_worker(config.net.workers));
            let limiter = share.map(limiter);
            event_loop.io().limit_descriptors(Arc::clone(&workers.plan.budget));
            let mut worker = Worker::new(
                sockets,
                &mut event_loop,
                config.outside.clone(),
                connections,
                limiter,
                Arc::clone(&counts),
            )?;
            let Mailbox { sender, receiver } = Mailbox::new(MAILBOX)?;
            let stats = Arc::clone(event_loop.io().stats());
            workers.shards.push(Shard { counts, stats, heartbeat: event_loop.heartbeat().clone() });
            let tell = tell.clone();
            let thread =
                thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                    // One letter a worker, in a channel with room for all.
                    let _ = tell.try_send(event_loop.run(&mut worker, &receiver));
                })?;
            workers.threads.push((sender, thread));
        }
        Ok(workers)
    }

    /// The metrics of all workers.
    pub(crate) fn metrics(&self) -> Registry {
        let shards = self.shards.clone();
        let backend = self.backend;
        let source = move |samples: &mut Samples| {
            samples.add_workers(backend, shards.len());
            for shard in &shards {
                shard.counts.sample(samples);
                samples.add_loop(&shard.stats);
            }
        };
        let mut sources: Vec<Source> = vec![Box::new(source), Box::new(self.plan.source())];
        sources.extend(self.secure.as_ref().map(Secure::source));
        Registry::new("stund", env!("CARGO_PKG_VERSION"), sources)
    }

    /// How the limit of open files is divided.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether they all move.
    pub(crate) fn health(&self) -> Arc<dyn Health> {
        Arc::new(Pulse {
            heartbeats: self.shards.iter().map(|shard| shard.heartbeat.clone()).collect(),
            clock: self.clock,
        })
    }

    /// Waits for a worker to end on its own account: an error.
    pub(crate) async fn failed(&mut self) -> io::Error {
        match self.ended.recv().await {
            Some(Err(error)) => io::Error::new(error.kind(), format!("a worker failed: {error}")),
            _ => io::Error::other("a worker ended unasked"),
        }
    }

    /// Ends them, after the batch that each has in hand.
    pub(crate) fn stop(self) {
        for (sender, _) in &self.threads {
            // It cannot be full: nothing else is ever sent. It is closed if the worker failed.
            let _ = sender.send(Letter::Stop);
        }
        for (_, thread) in self.threads {
            // A panic has ended the process already.
            let _ = thread.join();
        }
    }
}

/// The sockets that clients may cause, by the configuration.
fn wanted(config: &Config) -> Wanted {
    let streams =
        config.listen.iter().any(|listen| listen.has(Transport::Tcp) || listen.has(Transport::Tls));
    Wanted {
        workers: config.net.workers.get(),
        relayed: None,
        connections: if streams { config.limits.tcp_connections } else { 0 },
    }
}

/// A worker's limiter; nobody outside knows which prefixes share its places.
fn limiter(settings: LimiterSettings) -> Limiter {
    let mut rng = rand::make_rng::<StdRng>();
    Limiter::new(settings, std::array::from_fn(|_| rng.next_u64()))
}

struct Pulse {
    heartbeats: Vec<Heartbeat>,
    clock: Clock,
}

impl Health for Pulse {
    fn health(&self) -> Result<(), String> {
        let now = self.clock.sample().monotonic;
        heartbeat_problem(self.heartbeats.iter().map(|heartbeat| heartbeat.age(now)))
    }

    fn readiness(&self) -> Result<(), String> {
        self.health()
    }
}
