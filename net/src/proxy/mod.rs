//! The PROXY protocol, version 2: a proxy that we trust says for whom it speaks.

mod header;
mod trusted;

pub use header::{Endpoints, Fault, Header, MAX_HEADER, Parsed, is_header, parse};
pub use trusted::TrustedProxies;
