//! TCP in the worker's loop: listeners, and streams of frames.

mod incoming;
mod listener;
mod outgoing;
mod stream;

pub use incoming::{MAX_FRAME, Malformed};
pub use listener::Listener;
pub use outgoing::MAX_QUEUE;
pub use stream::{Stream, StreamEnd};

pub(crate) use incoming::{Incoming, Progress};
pub(crate) use outgoing::Outgoing;
pub(crate) use stream::State;
