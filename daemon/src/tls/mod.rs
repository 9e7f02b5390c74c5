//! `[tls]`: the certificates for TLS and DTLS, read at the start and again when their files change.
//!
//! [`TlsSchema`] has the keys, [`Tls`] the certificates; [`follow`] keeps them up to date while the
//! service runs.

mod certificate;
mod follow;
mod schema;

pub use certificate::Certificate;
pub use follow::follow;
pub use schema::{Tls, TlsSchema};
