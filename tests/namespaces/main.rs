//! The services in sandboxes, and in a network namespace of their own, whose addresses come and go.
//! The tests need root.
//!
//! Each test starts itself again within a new namespace ([`host::within`]), so that its sockets and
//! those of the services belong to it.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

mod agent;
mod families;
mod host;
mod own_addresses;
mod sandbox;
