//! Connections to servers, shared by the subcommands: tokio drivers around the sans-IO client.
//!
//! [`target`] names a server and how to reach it, [`connection`] opens a connection to it, and
//! [`turn`] speaks TURN over that.

mod certificate_verifier;
pub mod connection;
mod dtls;
mod handshake;
pub mod http;
pub mod proxies;
pub mod proxy;
pub(crate) mod staggered;
pub mod target;
mod tls;
mod trust;
pub mod turn;

pub use certificate_verifier::Presented;
pub use handshake::{OpenError, Secured, Usage};
pub use trust::{Trust, TrustArgs};
