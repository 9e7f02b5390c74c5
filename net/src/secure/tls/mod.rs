//! TLS over a stream: its handshake on the handshaker's thread, its records on the worker.

mod handshakes;
mod offered;
mod session;

use rustls::ServerConnection;

use super::Failure;
use crate::event_loop::StreamKey;

pub(super) use handshakes::Handshakes;
pub(super) use offered::Offered;
pub(crate) use session::Session;

/// From a worker, about one of its streams. Each but a farewell is answered once, and the next is
/// sent after the answer.
pub(crate) enum Letter {
    /// Bytes that the client sent; the first of them begin a handshake.
    Bytes(StreamKey, Vec<u8>),
    /// The stream is gone.
    Farewell(StreamKey),
}

/// To a worker: bytes for the client, and how the handshake goes on.
pub(crate) struct Answer {
    pub(crate) stream: StreamKey,
    pub(crate) bytes: Vec<u8>,
    pub(crate) outcome: Outcome,
}

/// How a handshake goes on.
pub(crate) enum Outcome {
    /// More of the client's bytes are wanted.
    More,
    Done(Box<ServerConnection>),
    Failed(Failure),
}
