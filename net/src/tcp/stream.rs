//! One TCP connection of a worker.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::{
    Acknowledgements, Incoming, Listener, Opening, Outgoing, Spare, Written, delay_acknowledgements,
};
use crate::descriptors::Descriptor;
use crate::epoll::Interest;
use crate::secure::TlsSession;
use crate::slots::Key;

/// A connection with what it has half received and not yet sent. Services know it by its key.
#[derive(Debug)]
pub struct Stream {
    pub(crate) fd: OwnedFd,
    /// Given back after the socket is closed.
    pub(crate) descriptor: Option<Descriptor>,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) tag: u64,
    pub(crate) listener: Option<Key<Listener>>,
    pub(crate) incoming: Incoming,
    /// Whether it stands in line to be read, or to be served of what was read before.
    pub(crate) in_line: bool,
    pub(crate) outgoing: Outgoing,
    acknowledgements: Acknowledgements,
    pub(crate) interest: Interest,
    pub(crate) state: State,
    pub(crate) layer: Layer,
}

/// What lies between a stream's frames and its socket.
#[derive(Debug)]
pub(crate) enum Layer {
    /// Nothing.
    Plain,
    /// It is yet to be found out, or to be agreed on.
    Opening(Box<Opening>),
    /// TLS.
    Secure(Box<TlsSession>),
}

/// How far a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The service is yet to hear of it: a proxy is still saying for whom it speaks.
    Arriving,
    Open,
    /// The service knows it no more; what was queued is still written, at the longest until then
    /// (monotonic).
    Draining {
        until: Duration,
    },
}

impl Stream {
    pub(crate) fn new(fd: OwnedFd, peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            fd,
            descriptor: None,
            peer,
            local,
            tag: 0,
            listener: None,
            incoming: Incoming::default(),
            in_line: false,
            outgoing: Outgoing::default(),
            acknowledgements: Acknowledgements::default(),
            interest: Interest::READ,
            state: State::Open,
            layer: Layer::Plain,
        }
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Something was read from the socket.
    pub(crate) fn note_read(&mut self, now: Duration) {
        if self.acknowledgements.read(now) {
            delay_acknowledgements(self.raw_fd());
        }
    }

    /// Queues one frame, given in parts. `false`: it did not fit, and nothing of it was queued.
    #[must_use]
    pub(crate) fn push(&mut self, parts: &[&[u8]], spare: &mut Spare) -> bool {
        let pushed = self.outgoing.push(parts, spare);
        if let (true, Layer::Secure(session)) = (pushed, &mut self.layer) {
            session.frame_queued(parts.iter().map(|part| part.len()).sum());
        }
        pushed
    }

    /// Writes as much as the kernel takes.
    pub(crate) fn write(&mut self) -> io::Result<Written> {
        let fd = self.fd.as_raw_fd();
        match &mut self.layer {
            Layer::Plain => self.outgoing.write(fd),
            Layer::Opening(opening) => opening.flight.write(fd),
            Layer::Secure(session) => {
                session.write(fd, &mut self.outgoing, self.state != State::Open)
            }
        }
    }

    /// What to watch for, once a write has left nothing (`all`) or something waiting.
    pub(crate) fn wanted(&self, all: bool) -> Interest {
        let waiting = matches!(&self.layer, Layer::Opening(opening) if opening.is_waiting());
        Interest { read: !waiting && !matches!(self.state, State::Draining { .. }), write: !all }
    }

    /// Throws away what has been received and not read: closing with it unread would be a reset,
    /// which could overtake an alert.
    pub(crate) fn discard_received(&self) {
        // SAFETY: over TCP, MSG_TRUNC without a buffer takes bytes off the queue and writes
        // nowhere.
        unsafe {
            libc::recv(
                self.raw_fd(),
                std::ptr::null_mut(),
                1 << 20,
                libc::MSG_TRUNC | libc::MSG_DONTWAIT,
            )
        };
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
    /// The service's [`frame_len`](crate::Service::frame_len) refused the bytes, or announced a
    /// frame over [`MAX_FRAME`](crate::MAX_FRAME).
    Malformed,
}
