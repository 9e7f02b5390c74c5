//! The sockets that the subcommands share: tokio drivers around the sans-IO client.

pub mod http;
pub mod leg;
pub mod turn_leg;
