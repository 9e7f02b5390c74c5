//! DTLS of the event loop with OpenSSL as its client.

#![allow(clippy::unwrap_used)] // a helper that fails has failed the test

#[path = "../support/authority.rs"]
mod authority;
mod chains;
mod client;
mod lifetimes;
mod lossy;
mod mutated;
mod proxied;
mod server;
mod turn;
mod unproven;
