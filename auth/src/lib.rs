//! STUN's long-term credentials: no I/O, no clock, no randomness of its own.
//!
//! | noun | file | source |
//! |---|---|---|
//! | key | `key.rs` | RFC 8489 §9.2.2, §18.5 |
//! | username, realm and password beyond ASCII | `opaque.rs` | RFC 8265 §4.2 |
//! | offers of a realm | `offers.rs` | RFC 8489 §9.2.1, §18.1 |
//! | nonce | `nonce.rs` | RFC 8489 §9.2; rotating keys |
//! | credential of a user | `credential.rs` | RFC 8489 §9.2 |
//! | sources of credentials | `credentials.rs` | RFC 8489 §9.2 |
//! | cache of an external key source | `key_cache.rs` | |
//! | REST secret (time-limited credentials) | `rest.rs` | the convention of WebRTC services |
//! | usernames of REST credentials | `rest_name.rs` | the same |
//! | checks of a request, in their order | `authenticate.rs` | RFC 8489 §9.2.4 |
//! | their parts and results | `protection.rs`, `refusal.rs` | RFC 8489 §9.2.4 |
//! | limit of answers to unproven addresses | `limiter.rs` | row H11 |
//! | its tables and buckets | `prefix_table.rs`, `allowance.rs` | row H11 |

mod allowance;
mod authenticate;
mod credential;
mod credentials;
mod key;
mod key_cache;
mod limiter;
mod nonce;
mod offers;
mod opaque;
mod prefix_table;
mod protection;
mod refusal;
mod rest;
mod rest_name;

pub use authenticate::{Authenticator, Identity, Known};
pub use credential::{Credential, is_unix_seconds};
pub use credentials::{Credentials, FurtherSource, userhash};
pub use key::{Algorithm, Key};
pub use key_cache::KeyCache;
pub use limiter::{Limiter, LimiterSettings};
pub use nonce::{MAX_NONCE_LEN, NonceKey, NonceKeys, NonceText};
pub use offers::Offers;
pub use opaque::{NotOpaque, opaque_string};
pub use protection::{Protection, is_signed_by};
pub use refusal::Refusal;
pub use rest::RestSecret;
pub use rest_name::RestName;
