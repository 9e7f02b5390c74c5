//! A single Binding request to a server, and the reasons why a request to a server fails: what the
//! check, the NAT tests and the search for a reachable address have in common.

mod binding;
mod error;

pub use binding::binding;
pub use error::ProbeError;
