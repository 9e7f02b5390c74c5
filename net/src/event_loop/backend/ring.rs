//! The backend with a ring of requests: one `io_uring_enter` a turn sends, arms receives and waits
//! for all relayed sockets. Twin of `epoll`.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::super::datagrams::{Datagrams, Released};
use super::super::memory::{BUFFERS_START, Memory};
use crate::epoll::{Epoll, Events};
use crate::keys::SocketKey;
use crate::stats::Stats;
use crate::udp::{Outbox, Received};
use crate::uring::{BufferId, Completion, Last, Ring};

pub(in super::super) struct RingBackend {
    ring: Ring,
    epoll: Arc<Epoll>,
    /// Sockets that are to be received from, with the next submission.
    to_receive: Vec<SocketKey>,
    /// Sockets that were released while they were received from. They are closed after their
    /// receives are cancelled: as long as a receive lasts, the ring goes on taking datagrams,
    /// although the socket is closed.
    to_cancel: Vec<(SocketKey, Released)>,
    /// A failure within a turn; it ends the loop at the next wait.
    defect: Option<io::Error>,
    stats: Arc<Stats>,
}

impl RingBackend {
    pub(super) fn new(memory: &Memory, epoll: Arc<Epoll>, stats: Arc<Stats>) -> io::Result<Self> {
        Ok(Self {
            ring: Ring::new(Arc::clone(memory.region()), BUFFERS_START)?,
            epoll,
            to_receive: Vec::new(),
            to_cancel: Vec::new(),
            defect: None,
            stats,
        })
    }

    pub(super) fn start(&mut self) -> io::Result<()> {
        self.ring.enable()
    }

    pub(super) fn submits(&self) -> bool {
        true
    }

    pub(super) fn watch(&mut self, key: SocketKey, _: RawFd) -> io::Result<()> {
        self.to_receive.push(key);
        Ok(())
    }

    pub(super) fn release(
        &mut self,
        key: SocketKey,
        socket: Released,
        receiving: bool,
        datagrams: &mut Datagrams,
    ) {
        if receiving {
            self.to_cancel.push((key, socket));
        } else {
            datagrams.close_after_flush(socket);
        }
    }

    pub(super) fn holds_descriptors(&self) -> bool {
        !self.to_cancel.is_empty()
    }

    pub(super) fn holds_ports(&self) -> bool {
        !self.to_cancel.is_empty() || self.ring.is_ending()
    }

    pub(super) fn settle(&mut self, datagrams: &mut Datagrams) {
        if let Err(error) = self.queue_requests(datagrams).and_then(|()| self.ring.settle()) {
            self.defect = Some(error);
        }
    }

    pub(super) fn flush(&mut self, datagrams: &mut Datagrams, now: Duration) {
        if let Err(error) = self.submit(datagrams, now) {
            self.defect = Some(error);
        }
    }

    fn submit(&mut self, datagrams: &mut Datagrams, now: Duration) -> io::Result<()> {
        let outbox = datagrams.outbox_mut();
        // SAFETY: nothing is pushed or written before the ring's `submit` has returned, and
        // `finish` follows.
        unsafe { outbox.submit(&mut self.ring, now, &self.stats)? };
        self.ring.submit()?;
        outbox.finish(&mut self.ring, now, &self.stats);
        Ok(())
    }

    pub(super) fn flushes_with_wait(&self) -> bool {
        true
    }

    /// Ends the turn and begins the next with one system call, where the listeners have nothing to
    /// send: what is queued leaves, sockets that want it are received from, released ones no more,
    /// and the first event is waited for.
    pub(super) fn wait(
        &mut self,
        events: &mut Events,
        datagrams: &mut Datagrams,
        memory: &mut Memory,
        now: Duration,
        (rest, patience): (Duration, Duration),
    ) -> io::Result<()> {
        if let Some(defect) = self.defect.take() {
            return Err(defect);
        }
        let is_full = self.ring.backlog() > 0;
        self.queue_requests(datagrams)?;
        self.ring.watch(self.epoll.as_raw_fd())?;
        let outbox = datagrams.outbox_mut();
        // SAFETY: nothing is pushed or written before `turn` has submitted, and `finish` follows.
        unsafe { outbox.submit(&mut self.ring, now, &self.stats)? };
        // A message that was sent by a call of its own and refused has left an error report, which
        // no completion announces.
        let (rest, patience) = if outbox.error_checks() > 0 {
            (Duration::ZERO, Duration::ZERO)
        } else {
            (rest, patience)
        };
        self.ring.turn(rest, patience)?;
        outbox.finish(&mut self.ring, now, &self.stats);
        self.ring.recycle();
        self.stats.ring_enters.set(self.ring.enters());
        memory.free();
        datagrams.close_released();
        // With a full turn's completions waiting, the epoll readiness event queues behind
        // thousands of sockets: look without it.
        let look = is_full || !self.ring.is_watching();
        events.clear();
        if look { self.epoll.wait(events, Duration::ZERO) } else { Ok(()) }
    }

    /// Requests what sockets want: to be received from, or not any more.
    fn queue_requests(&mut self, datagrams: &mut Datagrams) -> io::Result<()> {
        for key in self.to_receive.drain(..) {
            if let Some(fd) = datagrams.begin_receive(key) {
                self.ring.receive(key, fd)?;
            }
        }
        for (key, socket) in std::mem::take(&mut self.to_cancel) {
            self.ring.cancel(key)?;
            datagrams.close_later(socket); // after the submission
        }
        Ok(())
    }

    pub(super) fn has_more(&self, outbox: &Outbox) -> bool {
        self.ring.backlog() > 0 || outbox.error_checks() > 0
    }

    pub(super) fn next(&mut self) -> Option<Completion> {
        self.ring.next()
    }

    pub(super) fn take(&mut self, buffer: BufferId) -> Option<Received> {
        let received = self.ring.received(buffer);
        self.ring.spend(buffer);
        received
    }

    pub(super) fn restart(&mut self, key: SocketKey, last: Last) -> bool {
        self.to_receive.push(key);
        self.stats.receives_restarted.add(1);
        match last {
            Last::Failed(error @ (libc::EBADF | libc::EFAULT | libc::EINVAL)) => {
                self.defect = Some(io::Error::from_raw_os_error(error));
                false
            }
            Last::Failed(_) => true,
            Last::Exhausted | Last::Cancelled => false,
        }
    }

    pub(super) fn holds_no_buffer(&self) -> bool {
        self.ring.holds_no_buffer()
    }

    pub(super) fn shut_down(&mut self, datagrams: &mut Datagrams) -> io::Result<()> {
        self.to_receive.clear();
        self.queue_requests(datagrams)?;
        self.ring.shut_down(datagrams.receiving())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Backend;
    use crate::clock::Clock;
    use crate::epoll::Events;
    use crate::event_loop::{EventLoop, Io};
    use crate::udp::UdpOptions;
    use crate::uring::Backend as Kind;

    fn open(io: &Io) -> usize {
        let Backend::Ring(ring) = &io.backend else { panic!("a ring was asked for") };
        ring.to_cancel.len() + io.datagrams.released()
    }

    #[test]
    fn a_released_socket_is_closed_after_its_receive_is_cancelled() {
        let mut event_loop = EventLoop::with_backend(Clock::start(), Kind::IoUring, None)
            .expect("this machine has a ring");
        let io = event_loop.io();
        io.start().unwrap();
        let key = io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, 0).unwrap();
        let mut events = Events::new();
        io.wait(&mut events, Duration::ZERO, Duration::ZERO).unwrap();
        io.release_udp(key);
        io.flush_datagrams();
        assert_eq!(open(io), 1, "its receive is armed, and no submission has come");
        io.wait(&mut events, Duration::ZERO, Duration::ZERO).unwrap();
        assert_eq!(open(io), 0);
        // One that has no receive yet is closed at once.
        let key = io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, 0).unwrap();
        io.release_udp(key);
        assert_eq!(open(io), 0);
        io.shut_down().unwrap();
    }
}
