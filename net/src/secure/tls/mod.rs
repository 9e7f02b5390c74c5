//! TLS over a stream: its handshake runs on the handshaker's thread, its records on the worker.

mod handshakes;
mod offered;
mod session;

use rustls::ServerConnection;

use super::Failure;
use crate::keys::StreamKey;

pub(super) use handshakes::Handshakes;
pub(super) use offered::Offered;
pub(crate) use session::Session;

/// From a worker, about one of its streams. Each but a cancellation gets one reply, and the next is
/// sent after the reply.
pub(crate) enum Request {
    /// Bytes that the client sent; the first of them begin a handshake.
    Bytes(StreamKey, Vec<u8>),
    /// The worker has given the handshake up.
    Cancel(StreamKey),
}

/// To a worker: bytes for the client, and how the handshake goes on.
pub(crate) struct Reply {
    pub(crate) stream: StreamKey,
    pub(crate) bytes: Vec<u8>,
    pub(crate) outcome: Outcome,
}

/// How a handshake goes on.
pub(crate) enum Outcome {
    /// It needs more of the client's bytes.
    More,
    Done(Box<ServerConnection>),
    Failed(Failure),
}
