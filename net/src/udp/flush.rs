//! The outbox carried to the kernel: each run of messages of one socket with one system call.

use std::io;
use std::time::Duration;

use super::options;
use super::outbox::{Message, Outbox};
use crate::stats::Stats;

/// What became of one system call that sends.
enum Outcome {
    Sent(usize),
    /// The socket's buffer is full.
    Full,
    /// This message cannot be sent.
    Refused,
}

impl Outbox {
    /// Sends all that is queued. Nothing is kept: what cannot be sent now is dropped and counted, as a router would.
    pub(crate) fn flush(&mut self, now: Duration, stats: &Stats) {
        self.arrange();
        let mut first = 0;
        while first < self.len {
            let end = self.end_of_run(first);
            if self.dont_fragment {
                self.send_mixed_run(first, end, now, stats);
            } else {
                self.send_run(first, end, now, stats);
            }
            first = end;
        }
        self.clear();
    }

    /// Gathers the messages of each socket. From here on they have positions: the order in which they leave.
    pub(super) fn arrange(&mut self) {
        self.order.arrange(self.messages[..self.len].iter().map(|message| message.fd));
    }

    /// The message that leaves at `position`.
    pub(super) fn message(&self, position: usize) -> &Message {
        &self.messages[self.order.at(position)]
    }

    /// Where the messages end that leave from the same socket as the one at `first`: all that this socket has.
    pub(super) fn end_of_run(&self, first: usize) -> usize {
        let fd = self.message(first).fd;
        first + (first..self.len).take_while(|other| self.message(*other).fd == fd).count()
    }

    /// A run in which some are to leave with DF set: that is an option of the socket, changed for those between two changes.
    pub(super) fn send_mixed_run(&mut self, mut first: usize, end: usize, now: Duration, stats: &Stats) {
        while first < end {
            let Message { dont_fragment: dont, fd, .. } = *self.message(first);
            let run = (first..end).take_while(|other| self.message(*other).dont_fragment == dont).count();
            let ipv6 = self.names[self.order.at(first)].is_ipv6();
            if !dont {
                self.send_run(first, first + run, now, stats);
            } else if options::set_dont_fragment(fd, ipv6, true).is_ok() {
                self.send_run(first, first + run, now, stats);
                let _cleared = options::set_dont_fragment(fd, ipv6, false); // as it could be set, it can be cleared
            } else {
                stats.dropped_send_refused.add(self.datagrams(first, first + run));
            }
            first += run;
        }
    }

    pub(super) fn send_run(&mut self, mut first: usize, end: usize, now: Duration, stats: &Stats) {
        let mut was_full = false;
        while first < end {
            match self.send_some(first, end, stats) {
                Outcome::Sent(count) => {
                    first += count;
                    was_full = false;
                }
                // One is lost; if there is still no room, so is the rest: trying each would cost a system call a loss.
                Outcome::Full if was_full => {
                    stats.dropped_send_buffer_full.add(self.datagrams(first, end));
                    return;
                }
                Outcome::Full => {
                    stats.dropped_send_buffer_full.add(self.datagrams(first, first + 1));
                    first += 1;
                    was_full = true;
                }
                Outcome::Refused if self.message(first).segments > 1 => {
                    self.send_apart(first, now, stats);
                    first += 1;
                }
                Outcome::Refused => {
                    stats.dropped_send_refused.add(1);
                    first += 1;
                }
            }
        }
    }

    /// Sends the datagrams of a message that the kernel does not cut, one by one.
    fn send_apart(&mut self, position: usize, now: Duration, stats: &Stats) {
        let index = self.order.at(position);
        let whole = self.messages[index];
        if let Some(to) = self.names[index].read() {
            self.refusals.note(now, to.ip(), whole.segment_len);
        }
        let end = whole.parts + whole.part_count;
        let mut first = whole.parts;
        while first < end {
            let (parts, bytes) = self.first_datagram(first, end, whole.segment_len);
            self.messages[index] = Message { parts: first, part_count: parts, segments: 1, bytes, ..whole };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_iov = &raw mut self.vectors[first];
            header.msg_iovlen = parts as _;
            header.msg_controllen = whole.plain_control as _;
            self.send_run(position, position + 1, now, stats);
            first += parts;
        }
    }

    /// How many of the parts from `first` on make a datagram of at most `len` bytes, and how many bytes they are.
    fn first_datagram(&self, first: usize, end: usize, len: usize) -> (usize, usize) {
        let (mut parts, mut bytes) = (0, 0);
        while bytes < len && first + parts < end {
            bytes += self.vectors[first + parts].iov_len;
            parts += 1;
        }
        (parts, bytes)
    }

    /// One successful system call, or the verdict on the message at `first`.
    ///
    /// A failure may be an older datagram's: an ICMP error that was pending on the socket is reported by whichever call comes
    /// next, and is cleared by that (row H38). So a failed call is made once more before the message is blamed.
    fn send_some(&mut self, first: usize, end: usize, stats: &Stats) -> Outcome {
        let mut blamed = false;
        loop {
            stats.send_calls.add(1);
            match self.call(first, end) {
                Ok(count) => {
                    self.count_sent(first, first + count, stats);
                    if count < end - first {
                        self.suspects.extend(self.message(first).ringed); // the call has taken the error that ended it
                    }
                    return Outcome::Sent(count);
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => return Outcome::Full,
                    // Asking again would have this host's stack report the loss twice.
                    Some(libc::EMSGSIZE) if self.message(first).segments == 1 => {
                        self.suspects.extend(self.message(first).ringed);
                        return Outcome::Refused;
                    }
                    _ if blamed => return Outcome::Refused,
                    _ => {
                        self.suspects.extend(self.message(first).ringed);
                        blamed = true;
                    }
                },
            }
        }
    }

    /// Counts messages that the kernel has taken.
    pub(super) fn count_sent(&self, first: usize, end: usize, stats: &Stats) {
        let (mut bytes, mut datagrams, mut merged) = (0, 0, 0);
        for message in (first..end).map(|position| self.message(position)) {
            let segments = u64::from(message.segments);
            bytes += message.bytes as u64;
            datagrams += segments;
            merged += if segments > 1 { segments } else { 0 };
        }
        stats.datagrams_sent.add(datagrams);
        stats.datagrams_sent_bytes.add(bytes);
        if merged > 0 {
            stats.datagrams_sent_merged.add(merged);
        }
    }

    pub(super) fn datagrams(&self, first: usize, end: usize) -> u64 {
        (first..end).map(|position| u64::from(self.message(position).segments)).sum()
    }

    fn call(&mut self, first: usize, end: usize) -> io::Result<usize> {
        let index = self.order.at(first);
        let message = &self.messages[index];
        let count = end - first;
        let result = if count > 1 {
            let headers = if self.order.is_in_place(first, end) {
                &mut self.headers[index..index + count]
            } else {
                for (gathered, position) in self.gathered.iter_mut().zip(first..end) {
                    *gathered = self.headers[self.order.at(position)];
                }
                &mut self.gathered[..count]
            };
            // SAFETY: each header points to a name, a control buffer and vectors in this outbox's boxes; the vectors point into
            // the worker's region, which outlives the outbox, and the kernel only reads them.
            unsafe { libc::sendmmsg(message.fd, headers.as_mut_ptr(), count as u32, 0) as isize }
        } else {
            let header = &self.headers[index].msg_hdr;
            if header.msg_controllen == 0 && message.part_count == 1 {
                let vector = &self.vectors[message.parts];
                // SAFETY: as above; without control messages the plain call spares the kernel a copy of the header.
                unsafe { libc::sendto(message.fd, vector.iov_base, vector.iov_len, 0, header.msg_name.cast(), header.msg_namelen) }
            } else {
                // SAFETY: as above.
                unsafe { libc::sendmsg(message.fd, header, 0) }
            }
        };
        match result {
            ..0 => Err(io::Error::last_os_error()),
            sent if count > 1 => Ok(sent as usize),
            _ => Ok(1),
        }
    }
}
