//! RFC 8656: one test per rule for a server, named by its section, in virtual time.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

#[path = "rfc8656/allocate.rs"]
mod allocate;
#[path = "rfc8656/allocate_success.rs"]
mod allocate_success;
#[path = "rfc8656/channel_bind.rs"]
mod channel_bind;
#[path = "rfc8656/channel_data.rs"]
mod channel_data;
#[path = "rfc8656/dual.rs"]
mod dual;
#[path = "rfc8656/families.rs"]
mod families;
#[path = "rfc8656/general.rs"]
mod general;
#[path = "rfc8656/header_fields.rs"]
mod header_fields;
#[path = "rfc8656/icmp.rs"]
mod icmp;
#[path = "rfc8656/permission.rs"]
mod permission;
#[path = "rfc8656/refresh.rs"]
mod refresh;
#[path = "rfc8656/reservation.rs"]
mod reservation;
#[path = "rfc8656/send_and_data.rs"]
mod send_and_data;
