//! DTLS over UDP: a stateless cookie exchange on the worker, the handshake on the handshaker's
//! thread, the records on the worker.
//!
//! Nothing is kept for a source address before it has brought back its cookie ([`hello`],
//! [`cookie`]; row H13).

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

pub(crate) use cookie::Cookies;
pub(super) use handshakes::Handshakes;
pub(super) use offered::{Offered, try_identity};
pub(crate) use pipe::Pipe;
pub(crate) use records::{MAX_PLAINTEXT, Opened, Records};

use crate::client_limit::LimitGuard;
use crate::secure::Failure;
use crate::slots::Key;

/// Names a worker's handshake.
pub(crate) type HandshakeKey = Key<Letter>;

/// From a worker, about one of its handshakes.
pub(crate) enum Letter {
    /// The hello with the right cookie. The handshake holds the place until it ends.
    Begin(HandshakeKey, LimitGuard, Vec<u8>),
    /// What came next.
    Datagram(HandshakeKey, Vec<u8>),
    /// The worker gave it up.
    Farewell(HandshakeKey),
}

/// To a worker: datagrams for the client, and how the handshake goes on.
pub(crate) struct Answer {
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
