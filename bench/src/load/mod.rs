//! The load: a [`Fleet`] of clients and their peers plays a [`Scenario`] against a [`Target`],
//! checks every delivery and returns the [`Measured`] figures. [`Process`] reads the cost of the
//! server.
//!
//! Call [`Fleet::new`] once (it makes allocations and binds channels), then [`Fleet::run`] as often
//! as needed: in slices that alternate between servers, or in one long run.

mod clock;
mod command;
mod credentials;
mod fleet;
mod floor;
mod flows;
mod histogram;
mod ledger;
mod legs;
mod measured;
mod output;
mod payload;
mod process;
mod relay;
mod request;
mod requests;
mod scenario;
mod schedule;
mod search;
mod setup;
mod subnet;
mod target;
mod transactions;

pub(crate) use legs::Connected;

pub use causeway_wire::Transport;
pub use command::{Flags, run};
pub use fleet::{Fleet, MAX_ALLOCATIONS};
pub use measured::{Latencies, Measured};
pub use process::{Memory, Process};
pub use scenario::{Direction, Operation, Pace, Scenario, Traffic};
pub use search::{Found, Limits, find_rate};
pub use subnet::Subnet;
pub use target::{Access, Target};
