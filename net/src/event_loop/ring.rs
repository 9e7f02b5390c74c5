//! The part of the loop that speaks with a ring.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::io::Io;
use super::service::Service;
use super::{EventLoop, SocketKey};
use crate::clock::Sample;
use crate::epoll::Events;
use crate::packet::SLOTS;
use crate::uring::{Completion, Last, PLENTY};

/// The datagrams that a ring should bring in one turn at the most: a completion may hold dozens.
const DATAGRAMS: usize = 4 * SLOTS;

impl Io {
    /// Makes the ring, if there is one, this thread's.
    pub(super) fn enable_ring(&mut self) -> io::Result<()> {
        self.ring.as_mut().map_or(Ok(()), |ring| ring.enable())
    }

    /// Whether there is something to do without a wait.
    pub(super) fn ring_has_more(&self) -> bool {
        self.ring.as_ref().is_some_and(|ring| ring.backlog() > 0 || self.outbox.suspects() > 0)
    }

    /// Ends the turn and begins the next: what is queued leaves, sockets that want it are received
    /// from, released ones no more, and the first event is waited for; all with one system
    /// call, where the listeners have nothing to send. First of all, packets may gather for the
    /// time of a `rest`.
    pub(super) fn wait_on_ring(
        &mut self,
        events: &mut Events,
        rest: Duration,
        patience: Duration,
    ) -> io::Result<()> {
        if let Some(defect) = self.defect.take() {
            return Err(defect);
        }
        let is_full = self.ring.as_ref().is_some_and(|ring| ring.backlog() > 0);
        self.queue_requests()?;
        let Some(ring) = &mut self.ring else { return Ok(()) };
        ring.watch(self.epoll.as_raw_fd())?;
        // SAFETY: nothing is pushed or written before `turn` has submitted, and `finish` follows.
        unsafe { self.outbox.submit(ring, self.now, &self.stats)? };
        // What was sent by a call of its own and refused has left a report, which no completion
        // tells of.
        let (rest, patience) = if self.outbox.suspects() > 0 {
            (Duration::ZERO, Duration::ZERO)
        } else {
            (rest, patience)
        };
        ring.turn(rest, patience)?;
        self.outbox.finish(ring, self.now, &self.stats);
        ring.recycle();
        self.stats.ring_enters.set(ring.enters());
        // With a full turn's work before it, the word of the epoll instance waits in line with
        // thousands of sockets.
        let look = is_full || !ring.is_watching();
        self.free_batch();
        events.clear();
        if look { self.epoll.wait(events, Duration::ZERO) } else { Ok(()) }
    }

    /// Requests what the sockets of the ring want: to be received from, or not any more.
    fn queue_requests(&mut self) -> io::Result<()> {
        let Some(ring) = &mut self.ring else { return Ok(()) };
        for key in self.to_receive.drain(..) {
            if let Some(entry) = self.sockets.get_mut(key) {
                entry.receiving = true;
                ring.receive(key, entry.socket.as_raw_fd())?;
            }
        }
        for (key, socket) in std::mem::take(&mut self.to_cancel) {
            ring.cancel(key)?;
            self.retired.push(socket); // closed after the submission
        }
        Ok(())
    }

    /// Sends what is queued, in the middle of a turn.
    pub(super) fn flush_ring(&mut self) -> io::Result<()> {
        let Some(ring) = &mut self.ring else { return Ok(()) };
        // SAFETY: nothing is pushed or written before `submit` has returned, and `finish` follows.
        unsafe { self.outbox.submit(ring, self.now, &self.stats)? };
        ring.submit()?;
        self.outbox.finish(ring, self.now, &self.stats);
        Ok(())
    }

    /// Closes the sockets that were released, and waits until the kernel has let go of them. What
    /// they were to send leaves before.
    pub(super) fn let_go(&mut self) {
        self.flush_datagrams();
        if let Err(error) = self.settle_ring() {
            self.defect = Some(error);
        }
        self.free_batch();
    }

    fn settle_ring(&mut self) -> io::Result<()> {
        self.queue_requests()?;
        self.ring.as_mut().map_or(Ok(()), |ring| ring.settle())
    }

    /// The loop ends: what is queued leaves, and no socket is held by the ring any more. Until then
    /// none is closed.
    pub(super) fn shut_ring(&mut self) -> io::Result<()> {
        self.flush_datagrams();
        self.to_receive.clear();
        self.queue_requests()?;
        let received =
            |index| self.sockets.at(index).filter(|(_, entry)| entry.receiving).map(|(key, _)| key);
        let armed: Vec<SocketKey> = (0..self.sockets.places()).filter_map(received).collect();
        self.ring.as_mut().map_or(Ok(()), |ring| ring.shut_down(armed))
    }
}

impl EventLoop {
    /// Looks at what the ring has brought: so much that the listeners have their turn soon.
    pub(super) fn completions<S: Service>(&mut self, now: Sample, service: &mut S) {
        if self.io.ring.is_none() {
            return;
        }
        let mut left = DATAGRAMS;
        for _ in 0..PLENTY {
            if left == 0 {
                break;
            }
            match self.io.ring.as_mut().and_then(|ring| ring.next()) {
                Some(Completion::Receive { socket, buffer, last }) => {
                    if let Some(buffer) = buffer {
                        let ring = self.io.ring.as_mut().expect("it has just brought this");
                        let received = ring.received(buffer);
                        ring.spend(buffer);
                        match received {
                            Some(received) => {
                                left = left.saturating_sub(received.datagrams());
                                self.arrived(now, socket, &received, service);
                            }
                            None => self.io.stats.dropped_bad_source.add(1),
                        }
                    }
                    if let Some(last) = last {
                        self.receive_ended(now, socket, last, service);
                    }
                }
                Some(Completion::Watch) => {}
                None => break,
            }
        }
        for _ in 0..self.io.outbox.suspects() {
            if self.budget.errors == 0 {
                break;
            }
            if let Some(key) = self.io.outbox.next_suspect() {
                self.ring_errors(now, key, service);
            }
        }
    }

    /// A socket is not received from any more. If it is still there, it will be again.
    fn receive_ended<S: Service>(
        &mut self,
        now: Sample,
        key: SocketKey,
        last: Last,
        service: &mut S,
    ) {
        let Some(entry) = self.io.sockets.get_mut(key) else {
            return; // released
        };
        entry.receiving = false;
        self.io.to_receive.push(key);
        self.io.stats.receives_restarted.add(1);
        match last {
            Last::Failed(error @ (libc::EBADF | libc::EFAULT | libc::EINVAL)) => {
                self.io.defect = Some(io::Error::from_raw_os_error(error));
            }
            Last::Failed(_) => self.ring_errors(now, key, service),
            Last::Exhausted | Last::Cancelled => {}
        }
    }

    fn ring_errors<S: Service>(&mut self, now: Sample, key: SocketKey, service: &mut S) {
        if self.errors(now, key, service) {
            self.io.outbox.suspect(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::udp::UdpOptions;
    use crate::uring::Backend;

    #[test]
    fn a_released_socket_is_closed_after_its_receive_is_cancelled() {
        let mut event_loop = EventLoop::with_backend(Clock::start(), Backend::IoUring, None)
            .expect("this machine has a ring");
        let io = event_loop.io();
        io.enable_ring().unwrap();
        let key = io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, 0).unwrap();
        let mut events = Events::new();
        io.wait_on_ring(&mut events, Duration::ZERO, Duration::ZERO).unwrap();
        io.release_udp(key);
        io.flush_datagrams();
        let is_open = |io: &Io| io.to_cancel.len() + io.retired.len();
        assert_eq!(is_open(io), 1, "its receive is armed, and no submission has come");
        io.wait_on_ring(&mut events, Duration::ZERO, Duration::ZERO).unwrap();
        assert_eq!(is_open(io), 0);
        // One that has no receive yet is closed at once.
        let key = io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, 0).unwrap();
        io.release_udp(key);
        assert_eq!(is_open(io), 0);
        io.shut_ring().unwrap();
    }
}
