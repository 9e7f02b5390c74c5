//! The comparison of two servers. The load alternates between them every fraction of a second, so
//! that other activity of the machine affects both. A server's cost is the processor time of its
//! threads for each delivery.

mod case;
pub mod catalogue;
mod command;
mod contest;
mod slices;
mod stolen;

pub use case::{Against, Case, Figure, Goal, Method, Standing, Versus};
pub use command::{Flags, run};
