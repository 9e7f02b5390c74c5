//! One TCP connection of a worker.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::{Acknowledgements, Incoming, Outgoing, Setup, Spare, Written, delay_acknowledgements};
use crate::descriptors::Descriptor;
use crate::epoll::Interest;
use crate::keys::ListenerKey;
use crate::secure::TlsSession;

/// A connection, with the frame that it has half received and the frames that it has not sent yet.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) fd: OwnedFd,
    /// Given back after the socket is closed.
    pub(crate) descriptor: Option<Descriptor>,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) tag: u64,
    pub(crate) listener: Option<ListenerKey>,
    pub(crate) incoming: Incoming,
    /// Whether it waits for its share of the next turn.
    pub(crate) in_line: bool,
    pub(crate) outgoing: Outgoing,
    acknowledgements: Acknowledgements,
    pub(crate) interest: Interest,
    pub(crate) state: State,
    pub(crate) layer: Layer,
}

/// The layer between a stream's frames and its socket.
#[derive(Debug)]
pub(crate) enum Layer {
    /// Frames as they are.
    Plain,
    /// Not known yet, or under negotiation.
    Setup(Box<Setup>),
    /// Records of TLS.
    Secure(Box<TlsSession>),
}

/// The state of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The service does not know it yet: its proxy's header has not come.
    Arriving,
    Open,
    /// The service has closed it; what was queued is still written.
    Draining {
        /// When it is given up (monotonic).
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

    /// Notes that something was read from the socket.
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
            Layer::Setup(setup) => setup.flight.write(fd),
            Layer::Secure(session) => {
                session.write(fd, &mut self.outgoing, self.state != State::Open)
            }
        }
    }

    /// The events to watch for, after a write that took `all` of the queue or not.
    pub(crate) fn wanted(&self, all: bool) -> Interest {
        let waiting = matches!(&self.layer, Layer::Setup(setup) if setup.is_waiting());
        Interest { read: !waiting && !matches!(self.state, State::Draining { .. }), write: !all }
    }

    /// Drops what has been received and not read: closing with it unread would be a reset, which
    /// could overtake an alert.
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

/// Why a stream ended, if the service did not close it.
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
