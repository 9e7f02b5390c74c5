//! From the URI of a server to the addresses that may be tried, in their order.
//!
//! | noun | file | source |
//! |---|---|---|
//! | the questions to DNS | `dns.rs` | |
//! | an endpoint: transport, addresses, how it was found | `endpoint.rs` | |
//! | NAPTR for TURN | `naptr.rs` | RFC 5928 §3, step 4; RFC 7350 §4.6.2 |
//! | SRV, its priorities and weights | `srv.rs` | RFC 2782; RFC 5928 §3, steps 3 and 5; RFC 8489 §8.1 |
//! | which of them for which URI | `resolution.rs` | RFC 5928 §3, RFC 8489 §8.1 |
//! | the order of addresses, both families in turn | `order.rs` | RFC 6724 §6, RFC 8305 §4 |
//! | several attempts, a little apart | `race.rs` | RFC 8305 §5 |
//! | where no server was named: the domain that this host is in, anycast | `local.rs` | RFC 8155 §4, §6 |

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
