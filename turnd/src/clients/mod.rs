//! The state of clients apart from their allocations: [`connections`] over TCP, TLS and DTLS,
//! [`proxied`] clients of plain UDP behind a proxy, and the [`quota`] of users.

pub(crate) mod connections;
pub(crate) mod proxied;
pub(crate) mod quota;
