//! The kernel's ring of requests: many system calls in one.
//!
//! # What goes through it
//! One `io_uring_enter` a turn submits the sends of the relayed sockets, arms receives, and waits.
//! Relayed sockets are received from by requests that stay (multishot), into buffers that the
//! kernel picks from a ring of [`Buffers`]. A listener keeps recvmmsg and sendmmsg, which are as
//! good for one socket of many datagrams. Everything else stays in the epoll instance, whose
//! descriptor the ring polls.
//!
//! # The life of a buffer
//! 1. It lies in the ring of buffers. The kernel receives into it **only while this thread is
//!    inside `io_uring_enter`**: the ring is made with `DEFER_TASKRUN`, and the sockets do not
//!    block, so no other thread of the kernel ever serves a request.
//! 2. A completion names it: it belongs to the loop, with one datagram or several.
//! 3. Everything that was queued while it was served leaves: sent by the `enter` that ends the
//!    turn, and, where that failed, by a plain system call right after. Then the buffer goes back
//!    to 1.
//!
//! A send is likewise over when the `enter` that submitted it returns: it asks not to wait
//! (`MSG_DONTWAIT`), so the kernel copies the bytes then or gives up. Only failures are reported.
//!
//! # The end of a socket
//! A request holds the socket open, and with it the port. So a released socket's receive is
//! cancelled, and a bind of the same port waits for the receive's last completion
//! ([`Ring::settle`]). Completions of a socket that is gone are ignored by the generation in its
//! key; their buffers return all the same. Listeners have no request of their own: after a crash, a
//! request that the kernel has yet to clean up would keep an old socket in the reuseport group, and
//! with it a share of the clients' datagrams.

mod backend;
mod buffers;
mod completion;
mod probe;
mod refusal;
mod ring;

pub use backend::Backend;
pub use refusal::Refusal;

pub(crate) use buffers::{BufferId, Buffers};
pub(crate) use completion::{Completion, Last};
pub(crate) use ring::{PLENTY, Ring};
