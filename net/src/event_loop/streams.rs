//! TCP in the loop: accepting, reading frames, writing them, ending.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::io::{Io, ListenerEntry, SCRATCH, Unsent};
use super::service::{Admission, Service, StreamInfo};
use super::{EventLoop, ListenerKey, StreamKey};
use crate::clock::Sample;
use crate::epoll::{Interest, Readiness, Source};
use crate::packet::Packet;
use crate::region::Span;
use crate::tcp::{Listener, MAX_FRAME, Progress, State, Stream, StreamEnd};

/// Connections accepted from one listener in one turn.
const ACCEPTS: usize = 16;

/// How long a closed stream may take to write what was queued.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Bytes of a frame that must be enough for its length to be known.
const ENOUGH_FOR_LENGTH: usize = 16;

impl Io {
    /// Takes in a TCP listener. `tag` comes back with its connections.
    ///
    /// # Errors
    /// When the kernel has no memory to watch it.
    pub fn listen_tcp(&mut self, listener: Listener, tag: u64) -> io::Result<ListenerKey> {
        let fd = listener.as_raw_fd();
        let key = self.listeners.insert(ListenerEntry { listener, tag, paused: false });
        self.epoll.add(fd, Source::Listener(key), Interest::READ).inspect_err(|_| {
            self.listeners.remove(key);
        })?;
        Ok(key)
    }

    /// Closes a stream: what is queued is still written, for a few seconds at the most. [`Service::closed`] is not called.
    pub fn close_stream(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.state != State::Open {
            return;
        }
        if stream.outgoing.is_empty() {
            self.drop_stream(key);
            return;
        }
        // The loop sets the deadline when it next looks: `Io` has no clock.
        stream.state = State::Draining { until: Duration::MAX };
        stream.incoming = crate::tcp::Incoming::default();
        let interest = Interest { read: false, write: stream.interest.write };
        self.watch(key, interest);
        self.draining.push(key);
    }

    /// Closes a stream at once, dropping what is queued; the peer sees a reset. [`Service::closed`] is not called.
    pub fn reset_stream(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get(key)
            && stream.state == State::Open
        {
            stream.close_by_reset();
            self.drop_stream(key);
        }
    }

    /// Bytes that wait to be taken by the stream's peer. `None`: the stream is gone.
    pub fn stream_queue_len(&self, key: StreamKey) -> Option<usize> {
        let stream = self.streams.get(key)?;
        (stream.state == State::Open).then(|| stream.outgoing.len())
    }

    pub(super) fn drop_stream(&mut self, key: StreamKey) {
        if self.streams.remove(key).is_some() {
            self.stats.streams_closed.add(1);
            self.stats.streams_open.set(self.streams.len() as u64);
        }
    }

    pub(super) fn queue_frame(&mut self, key: StreamKey, parts: &[&[u8]]) -> Result<(), Unsent> {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.state == State::Open) else {
            self.stats.dropped_stream_gone.add(1);
            return Err(Unsent::Gone);
        };
        let was_empty = stream.outgoing.is_empty();
        if !stream.outgoing.push(parts) {
            self.stats.dropped_stream_queue_full.add(1);
            return Err(Unsent::QueueFull);
        }
        self.stats.frames_sent.add(1);
        // With bytes already waiting, it is either listed already or its socket is full.
        if was_empty {
            self.dirty.push(key);
        }
        Ok(())
    }

    fn watch(&mut self, key: StreamKey, interest: Interest) {
        if let Some(stream) = self.streams.get_mut(key)
            && stream.interest != interest
            && self.epoll.change(stream.raw_fd(), Source::Stream(key), interest).is_ok()
        {
            stream.interest = interest;
        }
    }

    /// Writes the frames of the batch, all of a stream's with one system call.
    pub(super) fn flush_streams(&mut self) {
        while let Some(key) = self.dirty.pop() {
            self.write_stream(key);
        }
    }

    pub(super) fn write_stream(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let fd = stream.raw_fd();
        match stream.outgoing.write(fd) {
            Ok(written) => {
                self.stats.stream_bytes_sent.add(written.bytes as u64);
                let state = stream.state;
                let interest = Interest { read: state == State::Open, write: !written.all };
                if written.all && state != State::Open {
                    self.drop_stream(key);
                } else {
                    self.watch(key, interest);
                }
            }
            Err(_) if stream.state != State::Open => self.drop_stream(key),
            Err(error) => self.failed.push((key, StreamEnd::Failed(error.kind()))),
        }
    }

    /// Looks after streams that are being written out, and listeners that paused.
    pub(super) fn tend(&mut self, now: Duration) {
        let mut draining = std::mem::take(&mut self.draining);
        draining.retain(|key| {
            let Some(stream) = self.streams.get_mut(*key) else {
                return false;
            };
            let until = match stream.state {
                State::Draining { until } if until != Duration::MAX => until,
                _ => now + DRAIN_TIME,
            };
            stream.state = State::Draining { until };
            if now >= until {
                stream.close_by_reset();
                self.drop_stream(*key);
            }
            now < until
        });
        draining.append(&mut self.draining);
        self.draining = draining;
        for index in 0..self.listeners.places() {
            if let Some((key, entry)) = self.listeners.at(index)
                && entry.paused
            {
                self.pause(key, false);
            }
        }
    }

    /// Whether [`tend`](Self::tend) has something to look after soon.
    pub(super) fn needs_tending(&self) -> bool {
        !self.draining.is_empty()
            || (0..self.listeners.places()).filter_map(|index| self.listeners.at(index)).any(|(_, entry)| entry.paused)
    }

    fn pause(&mut self, key: ListenerKey, paused: bool) {
        if let Some(entry) = self.listeners.get_mut(key) {
            let interest = if paused { Interest::NONE } else { Interest::READ };
            let fd = entry.listener.as_raw_fd();
            if self.epoll.change(fd, Source::Listener(key), interest).is_ok() {
                entry.paused = paused;
            }
        }
    }

    fn info(&self, key: StreamKey) -> Option<StreamInfo> {
        let stream = self.streams.get(key)?;
        (stream.state == State::Open).then_some(StreamInfo {
            key,
            tag: stream.tag,
            listener: stream.listener,
            peer: stream.peer,
            local: stream.local,
        })
    }
}

impl EventLoop {
    pub(super) fn accept<S: Service>(&mut self, now: Sample, key: ListenerKey, service: &mut S) {
        for _ in 0..ACCEPTS {
            let Some(entry) = self.io.listeners.get(key) else {
                return;
            };
            let tag = entry.tag;
            match entry.listener.accept() {
                Ok((fd, peer, local)) => {
                    let mut stream = Stream::new(fd, peer, local);
                    stream.tag = tag;
                    stream.listener = Some(key);
                    self.admit(now, stream, service);
                }
                Err(error) if out_of_resources(&error) => {
                    // The connection stays in the backlog; level-triggered, it would wake us again at once, and again.
                    self.io.stats.accept_exhausted.add(1);
                    self.io.pause(key, true);
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {} // that connection was gone before it was accepted
            }
        }
    }

    fn admit<S: Service>(&mut self, now: Sample, stream: Stream, service: &mut S) {
        self.io.stats.streams_accepted.add(1);
        let fd = stream.raw_fd();
        let key = self.io.streams.insert(stream);
        let Some(info) = self.io.info(key) else {
            return;
        };
        let admission = service.accepted(now, &info, &mut self.io);
        let watched = self.io.epoll.add(fd, Source::Stream(key), Interest::READ);
        self.io.stats.streams_open.set(self.io.streams.len() as u64);
        let Some(stream) = self.io.streams.get_mut(key) else {
            return; // the service closed it
        };
        match (admission, watched) {
            (Admission::Accept { tag }, Ok(())) => stream.tag = tag,
            _ => {
                self.io.stats.streams_refused.add(1);
                self.io.reset_stream(key);
            }
        }
    }

    pub(super) fn stream_ready<S: Service>(&mut self, now: Sample, key: StreamKey, ready: Readiness, service: &mut S) {
        if ready.writable() || ready.error() {
            self.io.write_stream(key);
        }
        if (ready.readable() || ready.error()) && self.io.info(key).is_some() {
            self.read_stream(now, key, service);
        }
        self.report_failed(now, service);
    }

    fn read_stream<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        if self.io.scratch_in_use {
            self.io.flush_datagrams();
        }
        let Some(stream) = self.io.streams.get_mut(key) else {
            return;
        };
        let fd = stream.raw_fd();
        // SAFETY: nothing queued lies in the scratch buffer (flushed above), and no packet is alive.
        let scratch = unsafe { self.region.bytes_mut(SCRATCH) };
        match stream.incoming.read(fd, scratch) {
            Ok(Progress::Bytes(range)) => self.frames(now, key, range.end, service),
            Ok(Progress::Pending) => {}
            Ok(Progress::End) => self.end(now, key, StreamEnd::PeerClosed, service),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.end(now, key, StreamEnd::Failed(error.kind()), service),
        }
    }

    /// Hands over the frames in the first `len` bytes of the scratch buffer and keeps the half one behind them.
    fn frames<S: Service>(&mut self, now: Sample, key: StreamKey, len: usize, service: &mut S) {
        self.io.stats.stream_bytes_received.add(len as u64);
        let mut at = SCRATCH.start;
        let end = SCRATCH.start + len;
        while at < end {
            let Some(info) = self.io.info(key) else {
                return; // the service closed it
            };
            let rest = Span { start: at, end };
            // SAFETY: nothing writes to the scratch buffer while this slice lives.
            let bytes = unsafe { self.region.bytes(rest) };
            match service.frame_len(&info, bytes) {
                Ok(Some(length)) if length == 0 || length > MAX_FRAME => {
                    return self.end(now, key, StreamEnd::Malformed, service);
                }
                Ok(Some(length)) if length <= bytes.len() => {
                    let payload = Span { start: at, end: at + length };
                    self.io.stats.frames_received.add(1);
                    // SAFETY: the frames of one read do not overlap, and this one is given no room beyond its own bytes.
                    let mut frame = unsafe { Packet::new(&self.region, payload, 0, 0) };
                    service.frame(now, &info, &mut frame, &mut self.io);
                    at += length;
                }
                Ok(None) if bytes.len() >= ENOUGH_FOR_LENGTH => {
                    return self.end(now, key, StreamEnd::Malformed, service);
                }
                Ok(announced) => {
                    if let Some(stream) = self.io.streams.get_mut(key) {
                        stream.incoming.keep(bytes, announced);
                    }
                    return;
                }
                Err(crate::tcp::Malformed) => {
                    return self.end(now, key, StreamEnd::Malformed, service);
                }
            }
        }
    }

    /// Tells the service that a stream ended, then writes out what is queued if the peer may still read.
    fn end<S: Service>(&mut self, now: Sample, key: StreamKey, end: StreamEnd, service: &mut S) {
        let Some(info) = self.io.info(key) else {
            return;
        };
        service.closed(now, &info, end, &mut self.io);
        match end {
            StreamEnd::PeerClosed | StreamEnd::Malformed => self.io.close_stream(key),
            StreamEnd::Failed(_) => self.io.reset_stream(key),
        }
    }

    /// Tells the service of streams that failed while being written.
    pub(super) fn report_failed<S: Service>(&mut self, now: Sample, service: &mut S) {
        while let Some((key, end)) = self.io.failed.pop() {
            self.end(now, key, end, service);
        }
    }
}

fn out_of_resources(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
