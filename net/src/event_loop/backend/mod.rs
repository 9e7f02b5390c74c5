//! How a loop waits, and how it receives from and sends through its relayed sockets.
//!
//! `epoll` and `ring` are twins: each has the methods of [`Backend`], with the same signatures.
//! The choice between them is made once, in [`Backend::new`]; the rest of the loop does not know
//! which one it has. Listeners, streams and mailboxes are in the epoll instance in either case.

mod epoll;
mod ring;

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use self::epoll::EpollBackend;
use self::ring::RingBackend;
use super::datagrams::{Datagrams, Released};
use super::memory::Memory;
use crate::epoll::{Epoll, Events};
use crate::keys::SocketKey;
use crate::stats::Stats;
use crate::udp::{Outbox, Received};
use crate::uring::{Backend as Kind, BufferId, Completion, Last};

/// The backend of one loop.
#[expect(clippy::large_enum_variant, reason = "there is one a worker, and it stays where it is")]
pub(super) enum Backend {
    Epoll(EpollBackend),
    Ring(RingBackend),
}

/// Calls the same method of either twin.
macro_rules! either {
    ($backend:expr, $twin:ident => $call:expr) => {
        match $backend {
            Backend::Epoll($twin) => $call,
            Backend::Ring($twin) => $call,
        }
    };
}

impl Backend {
    /// The backend of this kind. A ring receives into the buffers of `memory`.
    pub(super) fn new(
        kind: Kind,
        memory: &Memory,
        epoll: Arc<Epoll>,
        stats: Arc<Stats>,
    ) -> io::Result<Self> {
        Ok(match kind {
            Kind::Epoll => Self::Epoll(EpollBackend::new(memory, epoll, stats)?),
            Kind::IoUring => Self::Ring(RingBackend::new(memory, epoll, stats)?),
        })
    }

    /// Makes the calling thread the one that the backend belongs to.
    pub(super) fn start(&mut self) -> io::Result<()> {
        either!(self, backend => backend.start())
    }

    /// Whether relayed sockets are served by requests, rather than by a system call each.
    pub(super) fn submits(&self) -> bool {
        either!(self, backend => backend.submits())
    }

    /// Receives from a relayed socket from now on.
    pub(super) fn watch(&mut self, key: SocketKey, fd: RawFd) -> io::Result<()> {
        either!(self, backend => backend.watch(key, fd))
    }

    /// Receives from a relayed socket no more, and has `datagrams` close it as soon as everything
    /// that it has to send is sent and no receive lasts. `receiving`: whether one does.
    pub(super) fn release(
        &mut self,
        key: SocketKey,
        socket: Released,
        receiving: bool,
        datagrams: &mut Datagrams,
    ) {
        either!(self, backend => backend.release(key, socket, receiving, datagrams));
    }

    /// Whether released sockets wait for their receives to be cancelled, with their descriptors.
    pub(super) fn holds_descriptors(&self) -> bool {
        either!(self, backend => backend.holds_descriptors())
    }

    /// Whether the kernel may still hold ports of released sockets.
    pub(super) fn holds_ports(&self) -> bool {
        either!(self, backend => backend.holds_ports())
    }

    /// Waits until the kernel holds no released socket any more, so that their ports are free once
    /// they are closed. What was queued must have left. A failure ends the next
    /// [`wait`](Self::wait).
    pub(super) fn settle(&mut self, datagrams: &mut Datagrams) {
        either!(self, backend => backend.settle(datagrams));
    }

    /// Sends everything that is queued, within a turn. A failure ends the next
    /// [`wait`](Self::wait).
    pub(super) fn flush(&mut self, datagrams: &mut Datagrams, now: Duration) {
        either!(self, backend => backend.flush(datagrams, now));
    }

    /// Whether [`wait`](Self::wait) sends what is queued; otherwise a turn ends with a flush.
    pub(super) fn flushes_with_wait(&self) -> bool {
        either!(self, backend => backend.flushes_with_wait())
    }

    /// Waits for events, for at most `patience`. Before that, packets may gather for `rest`.
    pub(super) fn wait(
        &mut self,
        events: &mut Events,
        datagrams: &mut Datagrams,
        memory: &mut Memory,
        now: Duration,
        (rest, patience): (Duration, Duration),
    ) -> io::Result<()> {
        either!(self, backend => backend.wait(events, datagrams, memory, now, (rest, patience)))
    }

    /// Whether there is something to do without a wait.
    pub(super) fn has_more(&self, outbox: &Outbox) -> bool {
        either!(self, backend => backend.has_more(outbox))
    }

    /// The next completion of a request.
    pub(super) fn next(&mut self) -> Option<Completion> {
        either!(self, backend => backend.next())
    }

    /// The content of a buffer that a completion named. It stays valid until the next flush.
    /// `None`: its source is neither IPv4 nor IPv6.
    pub(super) fn take(&mut self, buffer: BufferId) -> Option<Received> {
        either!(self, backend => backend.take(buffer))
    }

    /// Receives again from a socket whose receive has ended. Whether the socket's errors are to be
    /// looked at.
    pub(super) fn restart(&mut self, key: SocketKey, last: Last) -> bool {
        either!(self, backend => backend.restart(key, last))
    }

    /// Whether the kernel has all buffers that it receives into by itself.
    pub(super) fn holds_no_buffer(&self) -> bool {
        either!(self, backend => backend.holds_no_buffer())
    }

    /// Ends all receives, so that no socket outlives the loop in the kernel. What was queued must
    /// have left.
    pub(super) fn shut_down(&mut self, datagrams: &mut Datagrams) -> io::Result<()> {
        either!(self, backend => backend.shut_down(datagrams))
    }
}
