//! The parts that every server is made of around its own worker: listeners, TLS, threads, limits,
//! and the control side that watches over them.
//!
//! A server reads its configuration, binds its addresses, makes its workers, and runs:
//!
//! - [`main`], [`runtime`] and [`begin`] start the process;
//! - [`listeners`] binds the addresses, [`Secure`] starts the handshakes, [`Loops`] makes the event
//!   loops, [`mailboxes`] the ways to the workers;
//! - [`Threads`] runs the workers and notices when one ends;
//! - [`Running`] answers operators until the end;
//! - [`ConnectionLimits`], [`ConnectionCaps`] and [`Deadlines`] hold clients' connections in bounds.

mod deadlines;
mod limits;
pub mod listeners;
mod run;
mod secure;
mod threads;

pub use deadlines::{Deadline, Deadlines};
pub use limits::{Connection, ConnectionCaps, ConnectionLimits};
pub use run::{Running, begin, main, runtime};
pub use secure::Secure;
pub use threads::{Heartbeats, Loops, Ready, Threads, mailboxes};
