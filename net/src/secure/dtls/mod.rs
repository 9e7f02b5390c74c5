//! DTLS over UDP: a stateless cookie exchange on the worker, the handshake on the handshaker's
//! thread, the records on the worker.
//!
//! Nothing is kept for a source address before it has brought back its cookie ([`hello`],
//! [`cookie`]; row H13).

mod chain;
mod cookie;
mod ffi;
mod handshake;
mod handshakes;
pub(crate) mod hello;
mod offered;
mod pipe;
mod rate;
pub(crate) mod record;
mod records;

pub(super) use chain::check_chain;
pub(crate) use cookie::Cookies;
pub(super) use handshakes::Handshakes;
pub(super) use offered::Offered;
pub(crate) use pipe::Pipe;
pub(crate) use records::{MAX_PLAINTEXT, Opened, Records};

use crate::client_limit::LimitGuard;
use crate::keys::HandshakeKey;
use crate::secure::Failure;

/// From a worker, about one of its handshakes.
pub(crate) enum Request {
    /// The ClientHello with the right cookie. The handshake holds the guard until it ends.
    Begin(HandshakeKey, LimitGuard, Vec<u8>),
    /// A later datagram of the client.
    Datagram(HandshakeKey, Vec<u8>),
    /// The worker has given the handshake up.
    Cancel(HandshakeKey),
}

/// To a worker: datagrams for the client, and how the handshake goes on.
pub(crate) struct Reply {
    pub(crate) handshake: HandshakeKey,
    pub(crate) datagrams: Pipe,
    pub(crate) outcome: Outcome,
}

/// How a handshake goes on.
pub(crate) enum Outcome {
    More,
    Done(Box<Records>),
    Failed(Failure),
}
