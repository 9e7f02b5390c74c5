//! The handle of the thread that computes handshakes.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::post::{Answer, Envelope, Letter, Post};
use super::readings::Readings;
use super::thread::{self, Offered};
use super::{HandshakeLimits, Offer};
use crate::client_limit::ClientLimit;
use crate::mailbox::{self, Mailbox};
use crate::stats::Reading;

/// Letters that wait for the thread beyond one for each handshake under way: farewells.
const SPARE: usize = 1_024;

/// Answers that wait for a worker.
const ANSWERS: usize = 4_096;

/// The thread that computes the handshakes of all workers, at a lower priority than theirs. Clones
/// are handles of the same thread, which ends with the last of them.
///
/// Give one to each worker's [`EventLoop::with_handshaker`](crate::EventLoop::with_handshaker); the
/// rest goes by itself.
#[derive(Clone)]
pub struct Handshaker {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    letters: mailbox::Sender<Envelope>,
}

/// What the workers, the thread and the control side share.
pub(crate) struct Shared {
    pub(crate) limits: HandshakeLimits,
    pub(crate) readings: Readings,
    pub(crate) half_open: Arc<ClientLimit>,
    /// Replaced as a whole; held for the time of a clone.
    offered: Mutex<Arc<Offered>>,
    /// Grows while the process starts.
    workers: Mutex<Vec<mailbox::Sender<Answer>>>,
    /// Nobody holds the [`Handshaker`] any more.
    pub(super) stopped: AtomicBool,
}

impl Handshaker {
    /// Starts the thread.
    ///
    /// # Errors
    /// `InvalidInput` when a library does not take the offer; or when the process is out of threads
    /// or descriptors.
    pub fn start(offer: Offer, limits: HandshakeLimits) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(&offer, limits)?);
        let Mailbox { sender, receiver } = Mailbox::new(limits.half_open.saturating_add(SPARE))?;
        let its_own = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("handshaker".into())
            .spawn(move || thread::run(&its_own, &receiver))?;
        Ok(Self { inner: Arc::new(Inner { shared, letters: sender }) })
    }

    /// Offers something else to those who come from now on. Sessions live on, and so do handshakes
    /// that have begun.
    ///
    /// # Errors
    /// `InvalidInput` when a library does not take it: the old offer stands.
    pub fn set_offer(&self, offer: Offer) -> io::Result<()> {
        let offered = Arc::new(Offered::new(&offer)?);
        *lock(&self.inner.shared.offered) = offered;
        Ok(())
    }

    /// Every counter, for an exporter.
    pub fn readings(&self) -> impl Iterator<Item = Reading> + use<> {
        self.inner.shared.readings.all(&self.inner.shared.half_open)
    }

    /// A worker's end of the correspondence, and the mailbox that brings it answers.
    pub(crate) fn post(&self) -> io::Result<(Post, mailbox::Receiver<Answer>)> {
        let Mailbox { sender, receiver } = Mailbox::new(ANSWERS)?;
        Ok((
            Post { handshaker: self.clone(), worker: self.inner.shared.add_worker(sender) },
            receiver,
        ))
    }

    /// Puts a letter into the thread's mailbox; `false` when it is full.
    pub(super) fn send(&self, worker: usize, letter: Letter) -> bool {
        self.inner.letters.send(Envelope::From { worker, letter }).is_ok()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let _ = self.letters.send(Envelope::Stop); // with a full mailbox the thread is awake
    }
}

#[cfg(test)]
impl Handshaker {
    /// One whose thread never gets to its letters, and the mailbox that holds `capacity` of them.
    pub(crate) fn idle(
        limits: HandshakeLimits,
        capacity: usize,
    ) -> (Self, mailbox::Receiver<Envelope>) {
        let offer = Offer { identities: vec![Arc::new(super::Identity::self_signed())], alpn: &[] };
        let shared = Arc::new(Shared::new(&offer, limits).unwrap());
        let Mailbox { sender, receiver } = Mailbox::new(capacity).unwrap();
        (Self { inner: Arc::new(Inner { shared, letters: sender }) }, receiver)
    }
}

impl Shared {
    fn new(offer: &Offer, limits: HandshakeLimits) -> io::Result<Self> {
        Ok(Self {
            limits,
            readings: Readings::default(),
            half_open: ClientLimit::new(limits.half_open, limits.half_open_per_prefix),
            offered: Mutex::new(Arc::new(Offered::new(offer)?)),
            workers: Mutex::default(),
            stopped: AtomicBool::new(false),
        })
    }

    pub(super) fn offered(&self) -> Arc<Offered> {
        Arc::clone(&lock(&self.offered))
    }

    pub(super) fn add_worker(&self, answers: mailbox::Sender<Answer>) -> usize {
        let mut workers = lock(&self.workers);
        workers.push(answers);
        workers.len() - 1
    }

    pub(super) fn answers_to(&self, worker: usize) -> Option<mailbox::Sender<Answer>> {
        lock(&self.workers).get(worker).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each is changed by one assignment, which cannot panic halfway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
