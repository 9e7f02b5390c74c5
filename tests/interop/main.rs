//! The real binaries against clients that others wrote, and against bad input. All on loopback, without privileges.
//!
//! `cargo xtask test interop` sees to the tools; a tool or a binary that is missing is a failure that names it.

mod aiortc;
mod bad_input;
mod coturn;
mod junk;
mod relay;
mod stun_tools;
