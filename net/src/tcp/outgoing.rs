//! The sending side of a stream: whole frames, bounded.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use socket2::SockRef;

/// Maximum number of bytes that wait for a slow reader. A frame that would exceed it is dropped
/// whole, as UDP would.
pub const MAX_QUEUE: usize = 256 << 10;

/// Maximum memory that an empty queue leaves for others, in bytes.
const KEPT: usize = 16 << 10;
/// Maximum number of queues whose memory is kept: those of one batch.
const SPARE: usize = 64;

/// Memory of queues that became empty, for the next ones: a worker's streams share it, so that an
/// idle stream has none and a frame needs no allocation.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    queues: Vec<Vec<u8>>,
}

impl Spare {
    fn take(&mut self) -> Vec<u8> {
        self.queues.pop().unwrap_or_default()
    }

    fn give(&mut self, mut queue: Vec<u8>) {
        if self.queues.len() < SPARE && queue.capacity() > 0 {
            queue.clear();
            queue.shrink_to(KEPT);
            self.queues.push(queue);
        }
    }
}

/// Frames that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: usize,
    /// Whether the kernel took all that was queued.
    pub(crate) all: bool,
}

impl Outgoing {
    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Queues one frame, given in parts. `false`: it did not fit, and nothing of it was queued.
    #[must_use]
    pub(crate) fn push(&mut self, parts: &[&[u8]], spare: &mut Spare) -> bool {
        let frame: usize = parts.iter().map(|part| part.len()).sum();
        if self.len() + frame > MAX_QUEUE {
            return false;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = spare.take();
        }
        if self.written > 0 && self.bytes.len() + frame > self.bytes.capacity() {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        true
    }

    /// The bytes that wait. [`advance`](Self::advance) takes them.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Drops the first `count` bytes that wait.
    pub(crate) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.is_empty() {
            self.written = 0;
            self.bytes.clear();
        }
    }

    /// Gives the memory back if nothing waits.
    pub(crate) fn rest(&mut self, spare: &mut Spare) {
        if self.is_empty() {
            spare.give(std::mem::take(&mut self.bytes));
        }
    }

    /// Writes as much as the kernel takes.
    pub(crate) fn write(&mut self, fd: RawFd) -> io::Result<Written> {
        // SAFETY: the caller's stream owns `fd` and is alive during the call.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        let socket = SockRef::from(&socket);
        let mut bytes = 0;
        while !self.is_empty() {
            match socket.send_with_flags(self.waiting(), libc::MSG_NOSIGNAL) {
                Ok(count) => {
                    self.advance(count);
                    bytes += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Written { bytes, all: false });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Written { bytes, all: true })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_frame_over_the_bound_is_dropped_whole_and_the_rest_arrives_intact() {
        let (mut peer, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut outgoing = Outgoing::default();
        let mut spare = Spare::default();
        let mut sent = Vec::new();
        let mut received = Vec::new();
        let mut dropped = 0;
        for number in 0..2_000u32 {
            let frame = number.to_be_bytes();
            let body = [number as u8; 996];
            if outgoing.push(&[&frame, &body], &mut spare) {
                sent.extend_from_slice(&frame);
                sent.extend_from_slice(&body);
            } else {
                dropped += 1;
            }
            assert!(outgoing.len() <= MAX_QUEUE);
            outgoing.write(ours.as_raw_fd()).unwrap();
            if number % 700 == 699 {
                let mut chunk = vec![0; 100_000];
                let count = peer.read(&mut chunk).unwrap();
                received.extend_from_slice(&chunk[..count]);
            }
        }
        assert!(dropped > 0, "no one reads: the limit was reached");
        while received.len() < sent.len() {
            outgoing.write(ours.as_raw_fd()).unwrap();
            let mut chunk = vec![0; 100_000];
            let count = peer.read(&mut chunk).unwrap();
            received.extend_from_slice(&chunk[..count]);
        }
        assert!(received == sent);
        assert!(outgoing.write(ours.as_raw_fd()).unwrap().all);
        outgoing.rest(&mut spare);
        assert_eq!(outgoing.bytes.capacity(), 0, "an idle stream has no memory");
        assert!(
            spare.queues.len() == 1 && spare.queues[0].capacity() <= KEPT,
            "and a long queue's is given back"
        );
    }
}
