//! The URIs of servers: `stun`, `stuns`, `turn` and `turns` (RFC 7064 §3.1, RFC 7065 §3.1).
//!
//! They have a parser of their own: "Developers MUST NOT use a generic hierarchical URI parser to
//! parse a "turn" or "turns" URI" (RFC 7065 §3.1). [`discovery`](crate::discovery) resolves a URI
//! to addresses.

mod error;
mod host;
mod percent;
mod server;
mod zone;

pub use error::UriError;
pub use host::Host;
pub(crate) use percent::percent_decoded;
pub use server::{Protocol, Scheme, ServerUri};
pub use zone::{Zone, zoned};
