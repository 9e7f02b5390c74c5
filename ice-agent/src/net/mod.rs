//! The sockets that the subcommands share: tokio drivers around the sans-IO client.
//!
//! [`target`] says which server and how, [`leg`] opens the way there, [`turn_leg`] speaks TURN over
//! it.

mod dtls;
pub mod http;
pub mod leg;
pub(crate) mod persist;
mod presented;
pub mod proxies;
pub mod proxy;
mod secured;
pub mod target;
mod tls;
mod trust;
pub mod turn_leg;

pub use presented::Presented;
pub use secured::{OpenError, Secured, Usage};
pub use trust::{Trust, TrustArgs};
