//! What the workers, the handshaker's thread and the control side share.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::messages::Reply;
use super::readings::Readings;
use super::{HandshakeLimits, Offer, dtls, tls};
use crate::client_limit::ClientLimit;
use crate::mailbox;

/// An [`Offer`] in the form of each library.
pub(super) struct Offered {
    pub(super) tls: tls::Offered,
    pub(super) dtls: dtls::Offered,
}

impl Offered {
    pub(super) fn new(offer: &Offer) -> io::Result<Self> {
        let refused = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        if offer.identities.is_empty() {
            return Err(refused("no certificate is offered".into()));
        }
        Ok(Self {
            tls: tls::Offered::new(offer).map_err(refused)?,
            dtls: dtls::Offered::new(offer).map_err(refused)?,
        })
    }
}

/// The handshaker's shared state.
pub(crate) struct Shared {
    pub(crate) limits: HandshakeLimits,
    pub(crate) readings: Readings,
    pub(crate) half_open: Arc<ClientLimit>,
    /// Replaced as a whole; held for the time of a clone.
    offered: Mutex<Arc<Offered>>,
    /// The mailboxes of the workers, by their numbers. It grows while the process starts.
    workers: Mutex<Vec<mailbox::Sender<Reply>>>,
    /// Whether the last [`Handshaker`](super::Handshaker) was dropped.
    pub(super) stopped: AtomicBool,
}

impl Shared {
    pub(super) fn new(offer: &Offer, limits: HandshakeLimits) -> io::Result<Self> {
        Ok(Self {
            limits,
            readings: Readings::default(),
            half_open: ClientLimit::new(limits.half_open, limits.half_open_per_prefix),
            offered: Mutex::new(Arc::new(Offered::new(offer)?)),
            workers: Mutex::default(),
            stopped: AtomicBool::new(false),
        })
    }

    /// Offers something else from now on.
    pub(super) fn set_offered(&self, offered: Arc<Offered>) {
        *lock(&self.offered) = offered;
    }

    pub(super) fn offered(&self) -> Arc<Offered> {
        Arc::clone(&lock(&self.offered))
    }

    pub(super) fn add_worker(&self, replies: mailbox::Sender<Reply>) -> usize {
        let mut workers = lock(&self.workers);
        workers.push(replies);
        workers.len() - 1
    }

    pub(super) fn mailbox_of(&self, worker: usize) -> Option<mailbox::Sender<Reply>> {
        lock(&self.workers).get(worker).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock holds a whole value: each is changed by one assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
