//! The servers that are measured, started as their descriptions in `bench/peers/` say.

mod certificate;
mod description;
mod namespaces;
mod place;
mod placeholder;
mod server;

pub use description::{Description, Kind};
pub use place::Place;
pub use server::{Choice, Server};
