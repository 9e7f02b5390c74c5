//! STUN's long-term credentials: no I/O, no clock, no randomness of its own.
//!
//! | noun | file | source |
//! |---|---|---|
//! | key | `key.rs` | RFC 8489 §9.2.2, §18.5 |
//! | nonce | `nonce.rs` | RFC 8489 §9.2; rotating keys |
//! | credential, and where it comes from | `credential.rs`, `credentials.rs` | RFC 8489 §9.2 |
//! | what a further source of keys has said | `key_cache.rs` | |
//! | REST secret | `rest.rs` | the time-limited credentials that WebRTC services mint |
//! | the checks of a request, in their order | `authenticate.rs` | RFC 8489 §9.2.4 |

mod authenticate;
mod credential;
mod credentials;
mod key;
mod key_cache;
mod nonce;
mod rest;

pub use authenticate::{Authenticator, Identity, Known, Refusal};
pub use credential::Credential;
pub use credentials::Credentials;
pub use key::Key;
pub use key_cache::KeyCache;
pub use nonce::{MAX_NONCE_LEN, NonceKey, NonceKeys, NonceText};
pub use rest::RestSecret;
