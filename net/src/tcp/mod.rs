//! TCP: listeners, and streams of frames.

mod acknowledgements;
mod incoming;
mod listener;
mod outgoing;
mod setup;
mod stream;

pub use incoming::{MAX_FRAME, Malformed};
pub use listener::{Listener, bind_freely};
pub use outgoing::MAX_QUEUE;
pub use stream::StreamEnd;

pub(crate) use acknowledgements::{Acknowledgements, delay_acknowledgements};
pub(crate) use incoming::{Aside, Incoming, Progress, READ, receive};
pub(crate) use outgoing::{Outgoing, Spare, Written};
pub(crate) use setup::{Setup, Stage};
pub(crate) use stream::{Layer, State, Stream};
