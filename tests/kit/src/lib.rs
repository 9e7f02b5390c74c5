//! The tools with which tests and measurements use the machine. Each exists once, for the whole
//! workspace: a process that ends with its test, a free port, a folder, certificates, a Redis
//! server, a wait with a time limit.
//!
//! The crate depends on no other of the workspace, so that all of them can test with it, and it
//! compiles on every platform. [`certificates`] is a feature: a crate that only starts processes
//! need not build a crypto library.

#[cfg(feature = "certificates")]
pub mod certificates;
mod log;
pub mod port;
pub mod process;
pub mod program;
pub mod redis;
pub mod scratch;
pub mod wait;

pub use process::{Error, Finished, Process};
pub use scratch::Scratch;
