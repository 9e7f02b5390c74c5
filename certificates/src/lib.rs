//! Certificates and keys as operators have them: PEM files with comments, in the wrong order, cut,
//! swapped or expired.
//!
//! [`ServerCertificate`] is a server's chain with its key, [`authorities`] the certificates that a
//! client trusts. Both take every block of a file into account or refuse the file, and a refusal is
//! a [`Fault`]: what is wrong, and the cure. [`Validity`] judges the time, and [`Expiry`] says when
//! to warn of it.

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
