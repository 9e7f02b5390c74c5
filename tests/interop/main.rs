//! The real binaries against clients that others wrote, and against bad input. All on loopback,
//! without privileges.
//!
//! `cargo xtask test interop` sees to the tools; a tool or a binary that is missing is a failure
//! that names it.

#![allow(clippy::print_stdout)] // read when the test is run by hand

mod bad_input;
mod call;
mod coturn;
mod credentials;
mod haproxy;
mod junk;
mod legs;
mod limiter;
mod long_calls;
mod meeting;
mod peer;
mod relay;
mod stun_tools;
mod tap;
mod tls_clients;
mod turn_proto;
mod webrtc;
