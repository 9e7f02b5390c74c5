//! The load: a [`Fleet`] of clients and their peers plays a [`Scenario`] against a [`Target`], checks every delivery, and says what it
//! [`Measured`]. What that cost the server, its [`Process`] tells.
//!
//! Call [`Fleet::new`] once (it allocates, and binds channels), then [`Fleet::run`] as often as wanted: in slices that change between
//! servers, or one long one.

mod client;
mod command;
mod fleet;
mod leg;
mod measured;
mod process;
mod scenario;
mod subnet;
mod target;

pub(crate) use client::Client;
pub use command::{Flags, run};
pub use fleet::Fleet;
pub use measured::{Latencies, Measured};
pub use process::{Memory, Process};
pub use scenario::{Direction, Operation, Pace, Scenario, Transport};
pub use subnet::Subnet;
pub use target::{Access, Target};
