//! What is kept of clients beside their allocations: [`connections`] over streams and DTLS,
//! [`proxied`] clients of plain UDP, and the [`quota`] of users.

pub(crate) mod connections;
pub(crate) mod proxied;
pub(crate) mod quota;
