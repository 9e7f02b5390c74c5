//! The sockets that the subcommands share: tokio drivers around the sans-IO client.
//!
//! [`target`] says which server and how, [`connection`] opens the way there, [`turn_leg`] speaks TURN over
//! it.

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
