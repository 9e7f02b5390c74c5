//! A TURN server in virtual time, with the clients and peers that talk to it: what the conformance,
//! hardening and property tests share.
//!
//! A [`Lab`] is one `relay::Server` with a clock that only moves when a test says so, a seeded
//! generator, and a [`PortPool`] that does what a shell does with effects. A [`Client`] writes
//! requests as a real one does: it learns realm and nonce from a 401. Everything goes through the
//! public interfaces.
//!
//! | noun | file |
//! |---|---|
//! | the server and its world | `lab.rs`, `setup.rs`, `port_pool.rs` |
//! | reactions to a datagram | `reaction.rs`, `answer.rs` |
//! | clients and peers | `client.rs`, `addresses.rs` |
//! | quota | `quota.rs` |
//!
//! [`daemon`] has the alternative: the real binaries, as processes on loopback.

pub mod addresses;
mod answer;
mod client;
pub mod daemon;
mod lab;
mod port_pool;
mod quota;
mod reaction;
mod setup;

pub use answer::Answer;
pub use client::{Client, Fill};
pub use lab::Lab;
pub use port_pool::PortPool;
pub use quota::{Guard, Quota};
pub use reaction::Reaction;
pub use setup::{LIMITS, REALM, Setup, allow, deny};
