//! The handles of the thread that computes handshakes: for the control side, and for workers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::messages::{Message, Reply, Request};
use super::shared::{Offered, Shared};
use super::{HandshakeLimits, Offer, thread};
use crate::mailbox::{self, Mailbox};
use crate::stats::Reading;

/// Room in the thread's mailbox beyond one request for each handshake under way: for cancellations.
const SPARE: usize = 1_024;

/// Maximum number of replies that wait for a worker.
const REPLIES: usize = 4_096;

/// The thread that computes the handshakes of all workers, at a lower priority than theirs. Clones
/// are handles of the same thread, which ends with the last of them.
///
/// Give one to each worker's [`EventLoop::with_handshaker`](crate::EventLoop::with_handshaker).
#[derive(Clone)]
pub struct Handshaker {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    mailbox: mailbox::Sender<Message>,
}

impl Handshaker {
    /// Starts the thread.
    ///
    /// # Errors
    /// `InvalidInput`: a library does not take the offer. Otherwise the process is out of threads
    /// or descriptors.
    pub fn start(offer: Offer, limits: HandshakeLimits) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(&offer, limits)?);
        let Mailbox { sender, receiver } = Mailbox::new(limits.half_open.saturating_add(SPARE))?;
        let its_own = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("handshaker".into())
            .spawn(move || thread::run(&its_own, &receiver))?;
        Ok(Self { inner: Arc::new(Inner { shared, mailbox: sender }) })
    }

    /// Changes what clients are offered from now on. Sessions, and handshakes that have begun, go
    /// on.
    ///
    /// # Errors
    /// `InvalidInput`: a library does not take it, and the old offer stays.
    pub fn set_offer(&self, offer: Offer) -> io::Result<()> {
        let offered = Arc::new(Offered::new(&offer)?);
        self.inner.shared.set_offered(offered);
        Ok(())
    }

    /// Every counter, for an exporter.
    pub fn readings(&self) -> impl Iterator<Item = Reading> + use<> {
        self.inner.shared.readings.all(&self.inner.shared.half_open)
    }

    /// Makes a handle for a worker, and the mailbox that brings it replies.
    pub(crate) fn connect(&self) -> io::Result<(HandshakerClient, mailbox::Receiver<Reply>)> {
        let Mailbox { sender, receiver } = Mailbox::new(REPLIES)?;
        let worker = self.inner.shared.add_worker(sender);
        Ok((HandshakerClient { handshaker: self.clone(), worker }, receiver))
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }
}

#[derive(Clone)]
pub(crate) struct HandshakerClient {
    handshaker: Handshaker,
    worker: usize,
}

impl HandshakerClient {
    /// Sends a request; `false`: the thread's mailbox is full.
    #[must_use]
    pub(crate) fn send(&self, request: Request) -> bool {
        let message = Message::Request { worker: self.worker, request };
        self.handshaker.inner.mailbox.send(message).is_ok()
    }

    /// The state that all workers and the thread share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.handshaker.inner.shared
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let _ = self.mailbox.send(Message::Stop); // with a full mailbox the thread is awake
    }
}

#[cfg(test)]
impl Handshaker {
    /// A handshaker without a thread, and its mailbox for `capacity` requests.
    pub(crate) fn idle(
        limits: HandshakeLimits,
        capacity: usize,
    ) -> (Self, mailbox::Receiver<Message>) {
        let offer = Offer { identities: vec![Arc::new(super::Identity::self_signed())], alpn: &[] };
        let shared = Arc::new(Shared::new(&offer, limits).unwrap());
        let Mailbox { sender, receiver } = Mailbox::new(capacity).unwrap();
        (Self { inner: Arc::new(Inner { shared, mailbox: sender }) }, receiver)
    }
}
