//! TLS through the loop, with clients that verify the chain.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

#[path = "../support/authority.rs"]
mod authority;
mod certificates;
mod handshakes;
mod server;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tls_client.rs"]
mod tls_client;
