//! `[tls]`: the certificates that clients see over TLS and DTLS, read at the start and again
//! whenever their files change.
//!
//! [`TlsSchema`] is the text's shape, [`Tls`] what it means, [`follow`] keeps it up to date while
//! the service runs.

mod certificate;
mod follow;
mod schema;

pub use certificate::Certificate;
pub use follow::follow;
pub use schema::{Tls, TlsSchema};
