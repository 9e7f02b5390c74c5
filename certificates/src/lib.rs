//! Certificates and keys as operators have them: PEM files with comments, in the wrong order, cut,
//! swapped or expired.
//!
//! [`ServerCertificate`] is a server's chain with its key, [`authorities`] reads the certificates
//! that a client trusts. Both account for every block of a file or refuse the file, with a
//! [`Fault`]: what is wrong, and the cure. [`Validity`] is the time in which a chain is valid, and
//! [`Expiry`] decides when to warn about it.

mod authorities;
mod chain;
mod expiry;
mod fault;
mod file;
mod key;
mod key_form;
mod names;
mod pem;
mod refusals;
mod server_certificate;
mod validity;

pub use authorities::authorities;
pub use expiry::Expiry;
pub use fault::{Fault, Part};
pub use file::{Bytes, read};
pub use names::Names;
pub use server_certificate::ServerCertificate;
pub use validity::{Standing, Validity, unix_now, utc};
