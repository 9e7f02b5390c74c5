//! The real binaries against clients that others wrote, and against bad input. All on loopback, without privileges.
//!
//! `cargo xtask test interop` sees to the tools; a tool or a binary that is missing is a failure that names it.

mod aiortc;
mod bad_input;
mod caller;
mod coturn;
mod echo;
mod junk;
mod port;
mod program;
mod relay;
mod scratch;
mod service;
mod stun_tools;
