//! Sending the outbox by a ring: the messages of many sockets with one system call.

use std::io;
use std::time::Duration;

use super::options::Fragments;
use super::outbox::Outbox;
use crate::stats::Stats;
use crate::uring::Ring;

impl Outbox {
    /// Gives the ring the messages of its sockets that have one each, and sends the others: those
    /// of listeners, and several at once of any socket, a run of one socket with one system call.
    ///
    /// A ring goes on after a message that fails. So it gets no second message of one socket, which
    /// would leave before the first is repeated (row H51).
    ///
    /// # Safety
    /// Until the ring's next submission has returned, nothing may be pushed, and what is queued
    /// must stay as it is. Then [`finish`](Self::finish) must be called.
    ///
    /// # Errors
    /// The ring takes no more requests: a defect.
    pub(crate) unsafe fn submit(
        &mut self,
        ring: &mut Ring,
        now: Duration,
        stats: &Stats,
    ) -> io::Result<()> {
        self.arrange();
        let mut first = 0;
        while first < self.len {
            let end = self.end_of_run(first);
            if end - first == 1 && self.message(first).submit_as.is_some() && self.prepare(first) {
                // SAFETY: as the caller promises.
                unsafe { self.give(first, ring)? };
            } else {
                self.send_all(first, end, now, stats);
            }
            first = end;
        }
        Ok(())
    }

    /// # Safety
    /// As for [`submit`](Self::submit).
    unsafe fn give(&mut self, position: usize, ring: &mut Ring) -> io::Result<()> {
        let index = self.order.at(position);
        let message = &self.messages[index];
        let header = &self.headers[index].msg_hdr;
        self.submitted |= 1 << position;
        if header.msg_controllen == 0 && message.part_count == 1 {
            // SAFETY: header, name and part lie in this outbox's boxes, the bytes in the worker's
            // region; the caller keeps them.
            unsafe { ring.send_plain(position, message.fd, header, &self.vectors[message.parts]) }
        } else {
            // SAFETY: as above.
            unsafe { ring.send_message(position, message.fd, header) }
        }
    }

    /// Counts what the ring has sent, handles what it has not, and drops everything that was
    /// queued.
    ///
    /// A failure may be that of an older datagram (row H38): such a message is tried once more, by
    /// a system call of its own, before its memory becomes free.
    pub(crate) fn finish(&mut self, ring: &mut Ring, now: Duration, stats: &Stats) {
        let unsent = ring.take_unsent();
        let mut sent = self.submitted;
        for (position, _) in &unsent {
            sent &= !(1 << position);
        }
        while sent != 0 {
            let position = sent.trailing_zeros() as usize;
            self.count_sent(position, position + 1, stats);
            sent &= sent - 1;
        }
        for (position, error) in unsent {
            match error {
                libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM => {
                    stats.dropped_send_buffer_full.add(self.datagrams(position, position + 1));
                }
                libc::EMSGSIZE if self.message(position).fragments == Fragments::Needless => {
                    self.check_sender(position);
                    self.send_in_fragments(position, now, stats);
                }
                libc::EMSGSIZE if self.message(position).segments == 1 => {
                    self.check_sender(position);
                    stats.dropped_send_refused.add(1);
                }
                _ => {
                    self.check_sender(position);
                    self.send_run(position, position + 1, now, stats);
                }
            }
        }
        self.submitted = 0;
        self.clear();
    }
}
