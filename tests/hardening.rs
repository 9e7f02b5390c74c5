//! Regression tests of the rows of `docs/hardening.md`: mistakes of public servers, and the right
//! behaviour. Each test names its row.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

#[path = "hardening/auth.rs"]
mod auth;
#[path = "hardening/binding.rs"]
mod binding;
#[path = "hardening/channel_permission.rs"]
mod channel_permission;
#[path = "hardening/denied.rs"]
mod denied;
#[path = "hardening/end.rs"]
mod end;
#[path = "hardening/keys.rs"]
mod keys;
#[path = "hardening/limiter.rs"]
mod limiter;
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
#[path = "hardening/retransmission.rs"]
mod retransmission;
#[path = "hardening/wire.rs"]
mod wire;
