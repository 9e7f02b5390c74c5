//! Sending the outbox by system calls: one for each run of messages of one socket.

use std::io;
use std::time::Duration;

use super::options::{self, Fragments};
use super::outbox::{Message, Outbox};
use crate::stats::Stats;

/// The result of one system call that sends.
enum Outcome {
    Sent(usize),
    /// The socket's buffer is full.
    Full,
    /// This message cannot be sent: the error.
    Refused(i32),
    /// This small message is too long for the path without fragmentation.
    TooNarrow,
}

/// Whether a message of several datagrams that was refused with this error may pass datagram by
/// datagram: a datagram is longer than the path takes, or the device does not cut messages. Any
/// other error holds for each of its datagrams, too.
fn is_refusal_to_cut(error: i32) -> bool {
    matches!(error, libc::EMSGSIZE | libc::EINVAL | libc::EIO)
}

/// Whether any client gets a message from a listener's send-only socket and another one from the
/// listener itself.
fn has_client_of_both(messages: &[Message]) -> bool {
    let is_small = |message: &&Message| message.fd != message.socket;
    let large = messages.iter().filter(|message| !is_small(message));
    large
        .into_iter()
        .any(|large| messages.iter().filter(is_small).any(|small| small.client == large.client))
}

impl Outbox {
    /// Sends everything that is queued. Nothing is kept: what cannot be sent now is dropped, as a
    /// router would, and counted.
    pub(crate) fn flush(&mut self, now: Duration, stats: &Stats) {
        self.arrange();
        let mut first = 0;
        while first < self.len {
            let end = self.end_of_run(first);
            self.send_all(first, end, now, stats);
            first = end;
        }
        self.clear();
    }

    /// Gathers the messages of each socket. Their positions are then the order in which they leave.
    ///
    /// A listener's large and small messages leave from two sockets, and are gathered by these,
    /// unless a client gets both kinds, whose order would be lost.
    pub(super) fn arrange(&mut self) {
        let messages = &self.messages[..self.len];
        if self.has_large && !has_client_of_both(messages) {
            self.order.arrange(messages.iter().map(|message| message.fd));
        } else {
            self.order.arrange(messages.iter().map(|message| message.socket));
        }
    }

    /// The message that leaves at `position`.
    pub(super) fn message(&self, position: usize) -> &Message {
        &self.messages[self.order.at(position)]
    }

    /// The end of the messages that leave from the same socket as the one at `first`.
    pub(super) fn end_of_run(&self, first: usize) -> usize {
        let socket = self.message(first).socket;
        first + (first..self.len).take_while(|other| self.message(*other).socket == socket).count()
    }

    /// Sends the messages of one socket, each with the socket option that it needs: the option is
    /// changed between two of them that differ.
    pub(super) fn send_all(&mut self, mut first: usize, end: usize, now: Duration, stats: &Stats) {
        while first < end {
            let Message { fd, fragments, .. } = *self.message(first);
            let alike = |other: &usize| {
                self.message(*other).fd == fd && self.message(*other).fragments == fragments
            };
            let run = (first..end).take_while(alike).count();
            if self.prepare(first) {
                self.send_run(first, first + run, now, stats);
            } else {
                stats.dropped_send_refused.add(self.datagrams(first, first + run));
            }
            first += run;
        }
    }

    /// Sets the socket's option for the message at `position`, if it differs. Whether the message
    /// may be sent.
    pub(super) fn prepare(&mut self, position: usize) -> bool {
        let index = self.order.at(position);
        let Message { fd, home, fragments, .. } = self.messages[index];
        if self.modes.of(fd, home) == fragments {
            return true;
        }
        let set = options::set_fragments(fd, self.names[index].is_ipv6(), fragments);
        if set.is_ok() {
            self.modes.note(fd, fragments);
        }
        set.is_ok() || fragments != Fragments::Forbidden
    }

    /// Sends the messages from `first` on, all from one socket and with the same option. Returns
    /// the error of the last message that was refused.
    pub(super) fn send_run(
        &mut self,
        mut first: usize,
        end: usize,
        now: Duration,
        stats: &Stats,
    ) -> Option<i32> {
        let (mut was_full, mut refused) = (false, None);
        while first < end {
            let outcome = self.send_some(first, end, stats);
            match outcome {
                Outcome::Sent(count) => {
                    first += count;
                    was_full = false;
                    continue;
                }
                // One is dropped; if there is still no room, so is the rest: trying each would cost
                // a system call for each drop.
                Outcome::Full if was_full => {
                    stats.dropped_send_buffer_full.add(self.datagrams(first, end));
                    return refused;
                }
                Outcome::Full => {
                    stats.dropped_send_buffer_full.add(self.datagrams(first, first + 1));
                    was_full = true;
                }
                Outcome::Refused(error)
                    if self.message(first).segments > 1 && is_refusal_to_cut(error) =>
                {
                    self.send_apart(first, now, stats);
                }
                Outcome::Refused(error) => {
                    stats.dropped_send_refused.add(self.datagrams(first, first + 1));
                    refused = Some(error);
                }
                Outcome::TooNarrow => {
                    self.send_in_fragments(first, now, stats);
                    if first + 1 < end {
                        self.prepare(first + 1);
                    }
                }
            }
            first += 1;
        }
        refused
    }

    /// Sends a small message over a path that takes it only in fragments.
    pub(super) fn send_in_fragments(&mut self, position: usize, now: Duration, stats: &Stats) {
        self.let_fragment(self.order.at(position), now);
        self.prepare(position);
        self.send_run(position, position + 1, now, stats);
    }

    /// Sends the datagrams of a message that the kernel does not cut, one by one, until one is
    /// refused for another reason than its length: the others would be, too, and each would
    /// cost system calls.
    fn send_apart(&mut self, position: usize, now: Duration, stats: &Stats) {
        let index = self.order.at(position);
        let whole = self.messages[index];
        let end = whole.parts + whole.part_count;
        let (mut first, mut left) = (whole.parts, u64::from(whole.segments));
        while first < end {
            let (parts, bytes) = self.first_datagram(first, end, whole.segment_len);
            self.messages[index] =
                Message { parts: first, part_count: parts, segments: 1, bytes, ..whole };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_iov = &raw mut self.vectors[first];
            header.msg_iovlen = parts as _;
            header.msg_controllen = whole.plain_control as _;
            first += parts;
            left -= 1;
            let refused = self.send_run(position, position + 1, now, stats);
            if refused.is_some_and(|error| error != libc::EMSGSIZE) {
                stats.dropped_send_refused.add(left);
                return;
            }
        }
        if let Some(to) = self.names[index].read() {
            self.refusals.note(now, to.ip(), whole.segment_len);
        }
    }

    /// How many of the parts from `first` on make a datagram of at most `len` bytes, and their
    /// length in bytes.
    fn first_datagram(&self, first: usize, end: usize, len: usize) -> (usize, usize) {
        let (mut parts, mut bytes) = (0, 0);
        while bytes < len && first + parts < end {
            bytes += self.vectors[first + parts].iov_len;
            parts += 1;
        }
        (parts, bytes)
    }

    /// Makes one successful system call, or finds what is wrong with the message at `first`.
    ///
    /// A failure may be that of an older datagram: the next call on a socket reports, and clears,
    /// an ICMP error that was pending on it (row H38). So a failed call is repeated once before the
    /// message is blamed.
    fn send_some(&mut self, first: usize, end: usize, stats: &Stats) -> Outcome {
        let mut blamed = false;
        loop {
            stats.send_calls.add(1);
            match self.call(first, end) {
                Ok(count) => {
                    self.count_sent(first, first + count, stats);
                    if count < end - first {
                        self.check_sender(first); // the call has taken the error that ended it
                    }
                    return Outcome::Sent(count);
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => return Outcome::Full,
                    Some(libc::EMSGSIZE)
                        if self.message(first).fragments == Fragments::Needless =>
                    {
                        self.check_sender(first);
                        return Outcome::TooNarrow;
                    }
                    // A repeated call would have this host's stack report the loss twice.
                    Some(libc::EMSGSIZE) if self.message(first).segments == 1 => {
                        self.check_sender(first);
                        return Outcome::Refused(libc::EMSGSIZE);
                    }
                    code if blamed => return Outcome::Refused(code.unwrap_or_default()),
                    _ => {
                        self.check_sender(first);
                        blamed = true;
                    }
                },
            }
        }
    }

    /// Has the loop check the error queue of the socket that sends the message at `position`, if no
    /// epoll event reports its errors.
    pub(super) fn check_sender(&mut self, position: usize) {
        if let Some(socket) = self.message(position).submit_as {
            self.check_errors_of(socket);
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
            // SAFETY: each header points to a name, a control buffer and vectors in this outbox's
            // boxes; the vectors point into the worker's region, which outlives the
            // outbox, and the kernel only reads them.
            unsafe { libc::sendmmsg(message.fd, headers.as_mut_ptr(), count as u32, 0) as isize }
        } else {
            let header = &self.headers[index].msg_hdr;
            if header.msg_controllen == 0 && message.part_count == 1 {
                let vector = &self.vectors[message.parts];
                // SAFETY: as above; without control messages the plain call spares the kernel a
                // copy of the header.
                unsafe {
                    libc::sendto(
                        message.fd,
                        vector.iov_base,
                        vector.iov_len,
                        0,
                        header.msg_name.cast(),
                        header.msg_namelen,
                    )
                }
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
