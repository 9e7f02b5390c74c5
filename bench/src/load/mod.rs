//! The load: a [`Fleet`] of clients and their peers plays a [`Scenario`] against a [`Target`],
//! checks every delivery, and says what it [`Measured`]. What that cost the server, its [`Process`]
//! tells.
//!
//! Call [`Fleet::new`] once (it allocates, and binds channels), then [`Fleet::run`] as often as
//! wanted: in slices that change between servers, or one long one.

mod clock;
mod command;
mod credentials;
mod dialogue;
mod fleet;
mod floor;
mod flows;
mod histogram;
mod idle;
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
