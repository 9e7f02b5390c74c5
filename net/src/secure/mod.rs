//! TLS and DTLS: who this server is ([`Identity`], [`Offer`]), and the thread where handshakes are
//! computed ([`Handshaker`]).
//!
//! A handshake costs as much as a thousand packets, so none runs on a worker. The bytes of a client
//! under handshake are ferried to the handshaker's thread, which has a lower priority and no
//! sockets, and what it answers is ferried back. Once the handshake is done, the session moves into
//! the worker, which encrypts and decrypts the records itself.

pub(crate) mod dtls;
mod handshaker;
mod identity;
mod limits;
mod offer;
mod post;
mod readings;
mod thread;
mod tide;
mod tls;

pub use handshaker::Handshaker;
pub use identity::Identity;
pub use limits::HandshakeLimits;
pub use offer::Offer;

pub(crate) use post::{Answer, Letter, Post};
pub(crate) use readings::Failure;
pub(crate) use tls::{
    Answer as TlsAnswer, Letter as TlsLetter, Outcome as TlsOutcome, Session as TlsSession,
};
