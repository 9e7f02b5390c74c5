//! One TCP connection of a worker.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::{Incoming, Listener, Outgoing};
use crate::epoll::Interest;
use crate::slots::Key;

/// A connection with what it has half received and not yet sent. Services know it by its key.
#[derive(Debug)]
pub struct Stream {
    pub(crate) fd: OwnedFd,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) tag: u64,
    pub(crate) listener: Option<Key<Listener>>,
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
    pub(crate) interest: Interest,
    pub(crate) state: State,
}

/// How far a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// The service knows it no more; what was queued is still written, at the longest until then (monotonic).
    Draining {
        until: Duration,
    },
}

impl Stream {
    pub(crate) fn new(fd: OwnedFd, peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            fd,
            peer,
            local,
            tag: 0,
            listener: None,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            interest: Interest::READ,
            state: State::Open,
        }
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Makes the coming close a reset, so that nothing lingers in the kernel.
    pub(crate) fn close_by_reset(&self) {
        // A failure leaves the ordinary close, which frees the same resources later.
        let _ = socket2::SockRef::from(&self.fd).set_linger(Some(Duration::ZERO));
    }
}

/// Why a stream ended that the service did not close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// The peer closed its side. What was queued before is still written.
    PeerClosed,
    /// The connection failed: reset, timed out, unreachable.
    Failed(io::ErrorKind),
    /// The TLS handshake failed, or took too long.
    Handshake,
    /// The service's [`frame_len`](crate::Service::frame_len) refused the bytes, or announced a frame over [`MAX_FRAME`](crate::MAX_FRAME).
    Malformed,
}
