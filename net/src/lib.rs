//! Sockets, batches and the event loop: how bytes reach a service and leave it. This crate knows
//! nothing of STUN.
//!
//! # The life of a datagram
//! 1. The kernel puts it into the receive queue of one worker's listener, which [`steering`]
//!    computes from its source.
//! 2. [`EventLoop::run`] wakes, samples the [`Clock`], and takes up to 64 messages with one
//!    `recvmmsg`, each into a slot with [`HEADROOM`] before it. A message is one datagram, or a
//!    burst of one flow that the kernel has put together: each datagram of it becomes a [`Packet`]
//!    where it lies.
//! 3. [`Service::datagram`] decides. It names the bytes that leave ([`Io::forward`], [`Io::send`],
//!    [`Io::reply`]): a range of the slot, a header written into the headroom, or a reply in the
//!    worker's memory. Nothing is copied, nothing allocated.
//! 4. At the end of the turn the outgoing batch is flushed: each run of one socket with one
//!    `sendmmsg`, a single datagram with `sendto`. Consecutive datagrams of one flow and one length
//!    are one message, which the kernel cuts apart again. A datagram that the kernel cannot take is
//!    dropped and counted ([`Stats`]).
//!
//! A relayed socket's datagram goes the other way through the same steps, and leaves through the
//! listener's `sendmmsg` together with those of other relayed sockets. A stream's bytes are cut
//! into frames ([`Service::frame_len`]) in a scratch buffer, and each frame that is sent to a
//! stream is queued whole. TLS and DTLS go through the same steps, decrypted: see [`secure`]. A
//! listener behind a proxy trusts its headers: see [`proxy`].
//!
//! # Map
//! [`EventLoop`], [`Service`], [`Io`]: the loop, what it calls, and the calls that it allows.
//! [`UdpSocket`], [`Listener`]: bound sockets. [`Mailbox`]: messages between threads.
//! [`Heartbeat`], [`Stats`]: what the control side watches.
//!
//! Not for the servers: [`load_socket`], one socket that plays many clients.
//!
//! The only crate that may be unsafe: it makes the system calls.

#[cfg(not(target_os = "linux"))]
compile_error!("the servers are for Linux");

mod address;
mod client_limit;
mod clock;
mod descriptors;
mod epoll;
mod event_loop;
mod heartbeat;
mod keys;
pub mod load_socket;
mod local;
pub mod mailbox;
mod packet;
pub mod proxy;
mod region;
pub mod secure;
mod slots;
mod startup_pages;
mod stats;
pub mod steering;
mod tcp;
mod udp;
mod uring;

pub use address::canonical;
pub use client_limit::{ClientLimit, LimitGuard, LimitReached, client_prefix};
pub use clock::{Clock, Sample};
pub use descriptors::{Descriptor, Descriptors, Shortage, Use, count_open, shortage};
pub use event_loop::{
    Admission, Arrival, AssociationInfo, DatagramListenerOptions, EventLoop, Io, MAX_REPLY,
    Rejection, RejectionReason, Route, Service, StreamInfo, StreamListenerOptions, Unsent,
};
pub use heartbeat::{HUNG_AFTER, Heartbeat};
pub use keys::{AssociationKey, ListenerKey, SocketKey, StreamKey};
pub use local::{is_local, source_towards};
pub use mailbox::Mailbox;
pub use packet::{HEADROOM, MAX_DATAGRAM, Packet, SLOTS, TAILROOM};
pub use proxy::TrustedProxies;
pub use region::Span;
pub use slots::Key;
pub use startup_pages::release_startup_pages;
pub use stats::{Count, Reading, Stats};
pub use tcp::{Listener, MAX_FRAME, MAX_QUEUE, Malformed, StreamEnd, bind_freely};
pub use udp::{BufferSizes, DontFragment, IcmpError, UdpOptions, UdpSocket};
pub use uring::{Backend, Refusal};
