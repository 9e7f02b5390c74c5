//! Servers as users name them: the `stun`, `stuns`, `turn` and `turns` URIs (RFC 7064 §3.1, RFC
//! 7065 §3.1).
//!
//! Not parsed by a parser of hierarchical URIs: "Developers MUST NOT use a generic hierarchical URI
//! parser to parse a "turn" or "turns" URI" (RFC 7065 §3.1). What a URI leads to,
//! [`discovery`](crate::discovery) finds out.

mod error;
mod host;
mod server;
mod zone;

pub use error::UriError;
pub use host::Host;
pub use server::{Protocol, Scheme, ServerUri};
pub use zone::{Zone, zoned};
