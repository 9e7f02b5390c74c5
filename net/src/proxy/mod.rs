//! The PROXY protocol, version 2: a trusted proxy names the client that it speaks for.

mod header;
mod trusted;

pub use header::{Endpoints, Fault, Header, MAX_HEADER, Parsed, is_header, parse};
pub use trusted::TrustedProxies;
