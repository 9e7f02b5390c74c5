//! The outbox carried to the kernel by a ring: what leaves from many sockets, with one system call.

use std::io;
use std::time::Duration;

use super::outbox::Outbox;
use crate::stats::Stats;
use crate::uring::Ring;

impl Outbox {
    /// Gives the ring the messages of its sockets, and sends the others: those of a listener, and several at once of any socket, a run of
    /// one socket with one system call.
    ///
    /// # Safety
    /// Until the ring's next submission has returned, nothing may be pushed, and what is queued must stay as it is. Then
    /// [`finish`](Self::finish) must be called.
    ///
    /// # Errors
    /// When the ring takes nothing more: a defect.
    pub(crate) unsafe fn submit(&mut self, ring: &mut Ring, now: Duration, stats: &Stats) -> io::Result<()> {
        let mut first = 0;
        while first < self.len {
            let end = self.end_of_run(first);
            if self.dont_fragment {
                // It is an option of the socket, which has to change between one message and the next.
                self.send_mixed_run(first, end, now, stats);
            } else if self.messages[first].ringed.is_some() && end - first == 1 {
                // SAFETY: as the caller promises.
                unsafe { self.give(first, ring)? };
            } else {
                // A ring goes on behind a message that fails, which would then be overtaken by what follows in its flow.
                self.send_run(first, end, now, stats);
            }
            first = end;
        }
        Ok(())
    }

    /// # Safety
    /// As for [`submit`](Self::submit).
    unsafe fn give(&mut self, index: usize, ring: &mut Ring) -> io::Result<()> {
        let message = &self.messages[index];
        let header = &self.headers[index].msg_hdr;
        self.submitted |= 1 << index;
        if header.msg_controllen == 0 && message.part_count == 1 {
            // SAFETY: header, name and part lie in this outbox's boxes, the bytes in the worker's region; the caller keeps them.
            unsafe { ring.send_plain(index, message.fd, header, &self.vectors[message.parts]) }
        } else {
            // SAFETY: as above.
            unsafe { ring.send_message(index, message.fd, header) }
        }
    }

    /// Looks at what the ring did not send, counts what it did, and forgets all that was queued.
    ///
    /// A failure may be an older datagram's (row H38): such a message is tried once more, by a system call of its own, before its
    /// bytes are given to others.
    pub(crate) fn finish(&mut self, ring: &mut Ring, now: Duration, stats: &Stats) {
        let unsent = ring.take_unsent();
        let mut sent = self.submitted;
        for (index, _) in &unsent {
            sent &= !(1 << index);
        }
        while sent != 0 {
            let index = sent.trailing_zeros() as usize;
            self.count_sent(index, index + 1, stats);
            sent &= sent - 1;
        }
        for (index, error) in unsent {
            match error {
                libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM => stats.dropped_send_buffer_full.add(self.datagrams(index, index + 1)),
                libc::EMSGSIZE if self.messages[index].segments == 1 => {
                    self.suspects.extend(self.messages[index].ringed);
                    stats.dropped_send_refused.add(1);
                }
                _ => {
                    self.suspects.extend(self.messages[index].ringed);
                    self.send_run(index, index + 1, now, stats);
                }
            }
        }
        self.submitted = 0;
        self.clear();
    }
}
