//! The real binaries as processes, and who talks to them over loopback: what the suites that start
//! them share.
//!
//! | noun | file |
//! |---|---|
//! | `stund` and `turnd` with a configuration | `service.rs` |
//! | a client's way to a server over each transport | `leg.rs` |
//! | a good client, a peer that echoes | `caller.rs`, `echo.rs` |
//! | a program that others wrote | `program.rs` |
//! | a chain of certificates and its root | `certificates.rs` |
//! | free ports, a folder of one's own | `port.rs`, `scratch.rs` |

pub mod caller;
pub mod certificates;
pub mod echo;
pub mod leg;
pub mod port;
pub mod program;
pub mod scratch;
pub mod service;
