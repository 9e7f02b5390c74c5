//! Regression tests of the hardening rows: what public servers got wrong, and what ours must do. A
//! test names its row.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

#[path = "hardening/auth.rs"]
mod auth;
#[path = "hardening/channel_permission.rs"]
mod channel_permission;
#[path = "hardening/denied.rs"]
mod denied;
#[path = "hardening/keys.rs"]
mod keys;
#[path = "hardening/outside.rs"]
mod outside;
#[path = "hardening/own_addresses.rs"]
mod own_addresses;
#[path = "hardening/policy.rs"]
mod policy;
#[path = "hardening/records.rs"]
mod records;
#[path = "hardening/refusals.rs"]
mod refusals;
#[path = "hardening/relay.rs"]
mod relay;
#[path = "hardening/reservation.rs"]
mod reservation;
#[path = "hardening/restored_credentials.rs"]
mod restored_credentials;
#[path = "hardening/wire.rs"]
mod wire;
