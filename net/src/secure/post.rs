//! What goes between a worker and the handshaker's thread.

use super::handshaker::Shared;
use super::{Handshaker, dtls, tls};

/// From a worker.
pub(crate) enum Letter {
    Tls(tls::Letter),
    Dtls(dtls::Letter),
}

/// To a worker.
pub(crate) enum Answer {
    Tls(tls::Answer),
    Dtls(dtls::Answer),
}

/// A letter with its sender.
pub(crate) enum Envelope {
    From {
        worker: usize,
        letter: Letter,
    },
    /// Nobody holds the [`Handshaker`] any more.
    Stop,
}

/// A worker's end of the correspondence.
pub(crate) struct Post {
    pub(super) handshaker: Handshaker,
    pub(super) worker: usize,
}

impl Post {
    /// Sends a letter; `false` when the handshaker has too many already.
    #[must_use]
    pub(crate) fn send(&self, letter: Letter) -> bool {
        self.handshaker.send(self.worker, letter)
    }

    /// What all workers and the thread share.
    pub(crate) fn shared(&self) -> &Shared {
        self.handshaker.shared()
    }
}
