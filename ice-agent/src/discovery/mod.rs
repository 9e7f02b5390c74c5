//! Resolves the URI of a server to the addresses to try, in order.
//!
//! | noun | file | source |
//! |---|---|---|
//! | queries to DNS | `dns.rs` | |
//! | an endpoint: transport, addresses, how it was found | `endpoint.rs` | |
//! | NAPTR for TURN | `naptr.rs` | RFC 5928 §3, step 4; RFC 7350 §4.6.2 |
//! | SRV, its priorities and weights | `srv.rs` | RFC 2782; RFC 5928 §3; RFC 8489 §8.1 |
//! | the queries for each kind of URI | `resolution.rs` | RFC 5928 §3, RFC 8489 §8.1 |
//! | the order of addresses, with alternating families | `order.rs` | RFC 6724 §6, RFC 8305 §4 |
//! | attempts with staggered starts | `race.rs` | RFC 8305 §5 |
//! | without a server's name: the domain of this host, anycast | `local.rs` | RFC 8155 §4, §6 |

mod dns;
mod endpoint;
mod local;
mod naptr;
mod order;
mod race;
mod resolution;
mod srv;

pub use dns::{Dns, DnsError, Found, NaptrRecord, SrvRecord};
pub use endpoint::{Discovered, Endpoint};
pub use local::{local_domain, local_uri};
pub use order::Families;
pub(crate) use order::source;
pub use race::{CONNECTION_ATTEMPT_DELAY, Won, race};
pub use resolution::{Choice, DiscoveryError, discover, discover_local};
