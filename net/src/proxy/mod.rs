//! The PROXY protocol, version 2: a proxy that we trust says for whom it speaks.

mod header;
mod trusted;

pub use header::{Endpoints, Header, MAX_HEADER, NoHeader, Parsed, parse};
pub use trusted::TrustedProxies;
