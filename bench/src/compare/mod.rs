//! Two servers at once, the load changing from one to the other every fraction of a second, so that
//! what else the machine does falls on both. A server's cost is its threads' time on the processor
//! for each delivery.

mod case;
pub mod catalogue;
mod command;
mod contest;
mod interrupt;
mod memory;
mod slices;
mod stolen;

pub use case::{Against, Case, Figure, Goal, Method, Standing, Versus};
pub use command::{Flags, run};
