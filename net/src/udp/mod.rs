//! UDP sockets: their options, batches in and out, control messages, and ICMP errors.

pub(crate) mod ancillary;
mod error_queue;
mod flush;
mod modes;
mod options;
mod order;
mod outbox;
mod receive;
mod refusals;
mod socket;
mod submit;

pub use error_queue::IcmpError;
pub use options::{BufferSizes, DontFragment, UdpOptions};
pub use socket::UdpSocket;

pub(crate) use ancillary::CONTROL_LEN;
pub(crate) use error_queue::{read_error, take_pending};
pub(crate) use outbox::{Destination, Outbox};
pub(crate) use receive::{Received, Receiver};
