//! The sockets that the subcommands share: tokio drivers around the sans-IO client.

pub mod http;
pub mod leg;
pub mod proxy;
pub mod target;
pub mod turn_leg;
