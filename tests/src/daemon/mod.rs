//! The real binaries as processes, and clients that talk to them over loopback, for all suites that
//! start them.
//!
//! | noun | file |
//! |---|---|
//! | `stund` and `turnd` with a configuration | `service.rs` |
//! | a client's connection to a server over each transport | `leg.rs` |
//! | a client that exchanges single messages over such a connection | `talker.rs` |
//! | a complete client, a peer that echoes | `caller.rs`, `echo.rs` |
//! | a chain of certificates and its root | `certificates.rs` |
//!
//! Free ports, scratch folders and other programs come from `causeway-kit`.

pub mod caller;
pub mod certificates;
pub mod echo;
pub mod leg;
pub mod service;
pub mod talker;
