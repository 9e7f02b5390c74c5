//! The workers' event loops and threads: made, started, watched and stopped.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use causeway_net::mailbox::{Sender, Undelivered};
use causeway_net::secure::Handshaker;
use causeway_net::{Backend, Clock, EventLoop, Heartbeat, Mailbox, Service};
use tokio::sync::mpsc;

use crate::admin::{Health, heartbeat_problem};
use crate::metrics::{Samples, Source};
use crate::workers::Net;

/// The event loops of all workers, before their threads run.
pub struct Loops {
    /// The backend that all of them have.
    pub backend: Backend,
    /// The clock that all of them read.
    pub clock: Clock,
    /// One loop for each worker.
    pub loops: Vec<EventLoop>,
}

impl Loops {
    /// Makes a loop for each worker of `net`. `relays`: whether the service binds a socket for each
    /// client, which is what io_uring is for.
    ///
    /// # Errors
    /// io_uring is required and refused, or the process is out of descriptors or memory.
    pub fn new(net: &Net, relays: bool, handshaker: Option<&Handshaker>) -> io::Result<Self> {
        let clock = Clock::start();
        let make = |backend| EventLoop::with_backend(clock, backend, handshaker);
        let (backend, loops) = net.make_loops(relays, make).map_err(|error| {
            let text = format!("cannot make the workers' event loops: {error}");
            io::Error::new(error.kind(), text)
        })?;
        Ok(Self { backend, clock, loops })
    }

    /// The metric that counts the workers.
    #[must_use]
    pub fn source(&self) -> Source {
        let (backend, count) = (self.backend, self.loops.len());
        Box::new(move |samples: &mut Samples| samples.add_workers(backend, count))
    }
}

/// Makes a mailbox for each of `workers`. Workers whose parts send to each other need the mailboxes
/// before they are made themselves.
///
/// # Errors
/// The process is out of descriptors.
pub fn mailboxes<M>(workers: usize, capacity: usize) -> io::Result<Vec<Mailbox<M>>> {
    (0..workers).map(|_| Mailbox::new(capacity)).collect::<io::Result<_>>().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot make the workers' mailboxes: {error}"))
    })
}

/// A worker that is ready to run: its service, its loop, and the mailbox that it is told by.
pub struct Ready<S: Service> {
    /// The service behind the worker's sockets.
    pub service: S,
    /// The loop that has the sockets.
    pub event_loop: EventLoop,
    /// The way from the control side to the worker.
    pub mailbox: Mailbox<S::Message>,
}

/// The running workers, which take messages of type `M`.
pub struct Threads<M> {
    /// Each returns its loop, whose sockets stay open until all workers have ended.
    threads: Vec<JoinHandle<EventLoop>>,
    senders: Vec<Sender<M>>,
    ended: mpsc::Receiver<io::Result<()>>,
    heartbeats: Heartbeats,
}

impl<M: Send + 'static> Threads<M> {
    /// Starts a thread for each worker.
    ///
    /// # Errors
    /// The process is out of threads.
    pub fn spawn<S>(workers: Vec<Ready<S>>, clock: Clock) -> io::Result<Self>
    where
        S: Service<Message = M> + Send + 'static,
    {
        let (report, ended) = mpsc::channel(workers.len().max(1));
        let heartbeats = Heartbeats { workers: Vec::new(), clock };
        let mut all = Self { threads: Vec::new(), senders: Vec::new(), ended, heartbeats };
        for (index, worker) in workers.into_iter().enumerate() {
            let Ready { mut service, mut event_loop, mailbox } = worker;
            let Mailbox { sender, receiver } = mailbox;
            all.senders.push(sender);
            all.heartbeats.workers.push(event_loop.heartbeat().clone());
            let report = report.clone();
            // The loop outlives its thread: closing its sockets would renumber the reuseport groups
            // that they are in, and the datagrams of its clients would reach workers that still run
            // and do not know them.
            let run = move || {
                // The channel has room for one report from each worker.
                let _ = report.try_send(event_loop.run(&mut service, &receiver));
                event_loop
            };
            let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(run);
            all.threads.push(thread.map_err(|error| {
                io::Error::new(error.kind(), format!("cannot start a worker: {error}"))
            })?);
        }
        Ok(all)
    }

    /// The number of workers.
    #[must_use]
    pub fn count(&self) -> usize {
        self.senders.len()
    }

    /// The senders to the workers' mailboxes, in the workers' order.
    #[must_use]
    pub fn senders(&self) -> &[Sender<M>] {
        &self.senders
    }

    /// The workers' heartbeats, which answer health.
    #[must_use]
    pub fn heartbeats(&self) -> Heartbeats {
        self.heartbeats.clone()
    }

    /// Waits for a worker to end although it was not asked to, which none does unless its loop
    /// fails.
    pub async fn failed(&mut self) -> io::Error {
        match self.ended.recv().await {
            Some(Err(error)) => {
                io::Error::new(error.kind(), format!("a worker's event loop failed: {error}"))
            }
            _ => io::Error::other("a worker ended unasked"),
        }
    }

    /// Sends `stop` to each worker and waits until all have ended, each after the batch that it
    /// is at.
    ///
    /// # Errors
    /// A worker's loop failed.
    pub fn stop(mut self, stop: impl Fn() -> M) -> io::Result<()> {
        for sender in &self.senders {
            // A full mailbox is emptied soon; a worker that hears nothing ends with the process.
            if let Err(Undelivered::Full(_)) = sender.send(stop()) {
                tracing::warn!("a worker's mailbox is full; it ends with the process");
                return Ok(());
            }
        }
        let loops: Vec<_> = self.threads.into_iter().map(JoinHandle::join).collect();
        if loops.iter().any(Result::is_err) {
            return Err(io::Error::other("a worker panicked"));
        }
        tracing::info!("ended");
        while let Ok(outcome) = self.ended.try_recv() {
            outcome.map_err(|error| {
                io::Error::new(error.kind(), format!("a worker's event loop failed: {error}"))
            })?;
        }
        Ok(())
    }
}

/// The heartbeats of all workers: a process whose workers all move is healthy.
#[derive(Clone)]
pub struct Heartbeats {
    workers: Vec<Heartbeat>,
    clock: Clock,
}

impl Heartbeats {
    /// The present in the workers' monotonic time.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.clock.sample().monotonic
    }
}

impl Health for Heartbeats {
    fn health(&self) -> Result<(), String> {
        let now = self.now();
        heartbeat_problem(self.workers.iter().map(|heartbeat| heartbeat.age(now)))
    }

    fn readiness(&self) -> Result<(), String> {
        self.health()
    }
}
