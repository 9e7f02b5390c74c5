//! The services in a network namespace of their own, whose addresses come and go, and in sandboxes.
//! As root.
//!
//! Each test starts itself once more within a new namespace ([`host::within`]), so that its sockets
//! and those of the services are there.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

mod agent;
mod families;
mod host;
mod own_addresses;
mod sandbox;
