//! The messages between a worker and the handshaker's thread.

use super::{dtls, tls};

/// A request of a worker, by protocol.
pub(crate) enum Request {
    Tls(tls::Request),
    Dtls(dtls::Request),
}

/// The reply to a worker, by protocol.
pub(crate) enum Reply {
    Tls(tls::Reply),
    Dtls(dtls::Reply),
}

/// A message to the thread.
pub(crate) enum Message {
    /// A request, with the number of the worker that sent it.
    Request { worker: usize, request: Request },
    /// The last [`Handshaker`](super::Handshaker) was dropped.
    Stop,
}
