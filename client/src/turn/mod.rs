//! One allocation at a TURN server: kept alive with its permissions and channels, with data in both
//! directions (RFC 8656).

mod allocation;
mod channel;
mod client;
mod config;
mod event;
mod input;
mod permission;
mod request;
mod response;
mod send;

pub use client::{RequestError, TurnClient};
pub use config::{RelayPort, TurnConfig};
pub use event::{Advice, Allocated, Event, Loss, Rejected};
pub use send::{HEADROOM, SendError, TAILROOM};
