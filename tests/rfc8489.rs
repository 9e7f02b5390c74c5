//! The rules of RFC 8489 for a TURN server: one test per rule, named by its section, in virtual
//! time.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

#[path = "rfc8489/algorithms.rs"]
mod algorithms;
#[path = "rfc8489/credentials.rs"]
mod credentials;
#[path = "rfc8489/messages.rs"]
mod messages;
#[path = "rfc8489/readings.rs"]
mod readings;
