//! TLS and DTLS: the server's certificates ([`Identity`], [`Offer`]), and the thread that computes
//! handshakes ([`Handshaker`]).
//!
//! A handshake costs as much as a thousand packets, so none runs on a worker. The bytes of a client
//! under handshake are sent to the handshaker's thread, which has a lower priority and no sockets,
//! and its replies are sent back. Once the handshake is done, the session moves into the worker,
//! which encrypts and decrypts the records itself.

mod config;
pub(crate) mod dtls;
mod flood;
mod handshaker;
mod identity;
mod messages;
mod protocol;
mod readings;
mod shared;
mod thread;
mod tls;

pub use config::{HandshakeLimits, Offer};
pub use handshaker::Handshaker;
pub use identity::Identity;

pub(crate) use handshaker::HandshakerClient;
pub(crate) use messages::{Reply, Request};
pub(crate) use readings::Failure;
pub(crate) use tls::{
    Outcome as TlsOutcome, Reply as TlsReply, Request as TlsRequest, Session as TlsSession,
};
