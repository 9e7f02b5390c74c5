//! Streams in the loop: reading frames, writing them, ending.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::io::{CIPHER, Io, Unsent};
use super::scratch::ROOM;
use super::service::{Service, StreamInfo};
use super::{EventLoop, StreamKey};
use crate::clock::Sample;
use crate::epoll::{Interest, Readiness, Source};
use crate::packet::{Packet, Room};
use crate::region::Span;
use crate::secure::Failure;
use crate::stats::Stats;
use crate::tcp::{Layer, MAX_FRAME, Progress, READ, State, Stream, StreamEnd, receive};

/// How long a closed stream may take to write what was queued.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Bytes of a frame that must be enough for its length to be known.
const ENOUGH_FOR_LENGTH: usize = 16;

/// Frames that one stream is served of in one turn: about as many as a batch of datagrams has. A read can bring thousands of short ones.
const FRAMES: usize = 128;

/// The most that is encrypted in one record of TLS.
const RECORD: usize = 16 << 10;

impl Io {
    /// Closes a stream: what is queued is still written, for a few seconds at the most. [`Service::closed`] is not called.
    pub fn close_stream(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.state != State::Open {
            return;
        }
        let secure = matches!(stream.layer, Layer::Secure(_));
        if stream.outgoing.is_empty() && !secure {
            self.drop_stream(key);
            return;
        }
        stream.state = State::Draining { until: self.now + DRAIN_TIME };
        stream.incoming = crate::tcp::Incoming::default();
        let interest = Interest { read: false, write: stream.interest.write };
        self.watch(key, interest);
        self.draining.push(key);
        if secure {
            self.dirty.push(key); // to say goodbye, with what else waits
        }
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
        self.abandon(key, Failure::Gone);
        if self.streams.remove(key).is_some() {
            self.stats.streams_closed.add(1);
            self.stats.streams_open.set(self.streams.len() as u64);
        }
    }

    pub(super) fn queue_frame(&mut self, key: StreamKey, parts: &[&[u8]]) -> Result<(), Unsent> {
        let takes = |stream: &&mut Stream| stream.state == State::Open && !matches!(stream.layer, Layer::Opening(_));
        let Some(stream) = self.streams.get_mut(key).filter(takes) else {
            self.stats.dropped_stream_gone.add(1);
            return Err(Unsent::Gone);
        };
        let was_empty = stream.outgoing.is_empty();
        if !stream.push(parts, &mut self.spare) {
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

    pub(super) fn watch(&mut self, key: StreamKey, interest: Interest) {
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
        match stream.write() {
            Ok(written) => {
                stream.outgoing.rest(&mut self.spare);
                self.stats.streams_sent_bytes.add(written.bytes as u64);
                let interest = stream.wanted(written.all);
                if written.all && matches!(stream.state, State::Draining { .. }) {
                    self.drop_stream(key);
                } else {
                    self.watch(key, interest);
                }
            }
            Err(_) if matches!(stream.state, State::Draining { .. }) => self.drop_stream(key),
            Err(error) => self.failed.push((key, StreamEnd::Failed(error.kind()))),
        }
    }

    /// Gives up on closed streams whose peer does not read.
    pub(super) fn tend_streams(&mut self) {
        let now = self.now;
        let mut draining = std::mem::take(&mut self.draining);
        draining.retain(|key| {
            let Some(stream) = self.streams.get_mut(*key) else {
                return false;
            };
            let State::Draining { until } = stream.state else { return false };
            if now >= until {
                stream.close_by_reset();
                self.drop_stream(*key);
            }
            now < until
        });
        draining.append(&mut self.draining);
        self.draining = draining;
    }

    pub(super) fn info(&self, key: StreamKey) -> Option<StreamInfo> {
        let stream = self.streams.get(key)?;
        (stream.state == State::Open).then_some(StreamInfo {
            key,
            tag: stream.tag,
            listener: stream.listener,
            peer: stream.peer,
            local: stream.local,
            secure: matches!(stream.layer, Layer::Secure(_)),
        })
    }
}

impl Io {
    /// Keeps frames that are too many for one turn, for the next.
    fn set_aside(&mut self, key: StreamKey, frames: &[u8]) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.incoming.set_aside(frames);
            self.set_aside.push(key);
        }
    }
}

/// The first `most` bytes of `buffer`, or all.
fn at_most(most: usize, buffer: &mut [u8]) -> &mut [u8] {
    let len = buffer.len().min(most);
    &mut buffer[..len]
}

/// `range` of `room`.
fn part(room: Span, range: &Range<usize>) -> Span {
    Span { start: room.start + range.start, end: room.start + range.end }
}

fn counted(stats: &Stats, received: io::Result<usize>) -> io::Result<usize> {
    received.inspect(|count| stats.streams_received_bytes.add(*count as u64))
}

impl EventLoop {
    pub(super) fn stream_ready<S: Service>(&mut self, now: Sample, key: StreamKey, ready: Readiness, service: &mut S) {
        if ready.writable() || ready.error() {
            self.io.write_stream(key);
        }
        if ready.readable() || ready.error() {
            self.read_stream(now, key, service);
        }
        self.report_failed(now, service);
    }

    fn read_stream<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let Some(stream) = self.io.streams.get(key) else {
            return;
        };
        match (&stream.layer, stream.state) {
            (_, State::Draining { .. }) => {}
            _ if stream.incoming.is_aside() => {} // what it sent before comes first, in the next turn
            (Layer::Plain, _) => self.read_plain(now, key, service),
            (Layer::Opening(_), _) => self.read_opening(now, key, service),
            (Layer::Secure(_), _) => self.read_records(now, key, service),
        }
    }

    /// Goes on with streams that brought more frames than the last turn took.
    pub(super) fn resume_streams<S: Service>(&mut self, now: Sample, service: &mut S) {
        for key in std::mem::take(&mut self.io.set_aside) {
            let room = self.io.scratch_room();
            let Some(stream) = self.io.streams.get_mut(key).filter(|stream| stream.incoming.is_aside()) else { continue };
            let is_secure = matches!(stream.layer, Layer::Secure(_));
            // SAFETY: nothing queued lies in this room of the scratch buffer, and no packet is alive.
            let len = stream.incoming.take_aside(unsafe { self.region.bytes_mut(room) });
            self.frames(now, key, part(room, &(0..len)), service);
            if is_secure {
                self.decrypted(now, key, &[], service); // for the end that the records may have told of
            }
        }
    }

    fn read_plain<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let room = self.io.scratch_room();
        let Some(stream) = self.io.streams.get_mut(key) else {
            return;
        };
        let (fd, stats) = (stream.raw_fd(), &self.io.stats);
        stream.note_read(now.monotonic);
        // SAFETY: nothing queued lies in this room of the scratch buffer, and no packet is alive.
        let scratch = unsafe { self.region.bytes_mut(room) };
        match stream.incoming.read(|buffer| counted(stats, receive(fd, at_most(READ, buffer))), scratch) {
            Ok(Progress::Bytes(range)) => self.frames(now, key, part(room, &range), service),
            Ok(Progress::Pending) => {}
            Ok(Progress::End) => self.end(now, key, StreamEnd::PeerClosed, service),
            Err(error) => self.read_failed(now, key, &error, service),
        }
    }

    /// Reads records once, and hands over the frames in them.
    fn read_records<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let Some(stream) = self.io.streams.get_mut(key) else {
            return;
        };
        stream.note_read(now.monotonic);
        // So much that all of it, the end of a record that was begun before, and the half frame before that fit into one room: what is
        // too much for the turn is set aside from there, and encrypted bytes are not.
        let most = ROOM - RECORD - stream.incoming.ahead();
        let region = Arc::clone(&self.region);
        // SAFETY: this room is used by one read at a time, and no slice of it outlives the read.
        let buffer = unsafe { region.bytes_mut(CIPHER) };
        match receive(stream.raw_fd(), at_most(most, buffer)) {
            Ok(0) => self.end(now, key, StreamEnd::PeerClosed, service),
            Ok(count) => self.decrypted(now, key, &buffer[..count], service),
            Err(error) => self.read_failed(now, key, &error, service),
        }
    }

    /// Decrypts `records` to the last and hands over the frames in them.
    pub(super) fn decrypted<S: Service>(&mut self, now: Sample, key: StreamKey, records: &[u8], service: &mut S) {
        let mut records = records;
        loop {
            let room = self.io.scratch_room();
            let Some(stream) = self.io.streams.get_mut(key).filter(|stream| stream.state == State::Open) else {
                return; // the service closed it
            };
            if stream.incoming.is_aside() {
                return; // there was more in them than a turn takes; by then all of them had been decrypted
            }
            let Layer::Secure(session) = &mut stream.layer else { return };
            let stats = &self.io.stats;
            // SAFETY: nothing queued lies in this room of the scratch buffer, and no packet is alive.
            let scratch = unsafe { self.region.bytes_mut(room) };
            match stream.incoming.read(|buffer| counted(stats, session.read(&mut records, buffer)), scratch) {
                Ok(Progress::Bytes(range)) => self.frames(now, key, part(room, &range), service),
                Ok(Progress::Pending) => {}
                Ok(Progress::End) => return self.end(now, key, StreamEnd::PeerClosed, service),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if session.wants_write() {
                        self.io.dirty.push(key); // the protocol's own answers, such as to a change of keys
                    }
                    return;
                }
                Err(_) => return self.end(now, key, StreamEnd::Malformed, service),
            }
        }
    }

    pub(super) fn read_failed<S: Service>(&mut self, now: Sample, key: StreamKey, error: &io::Error, service: &mut S) {
        if error.kind() != io::ErrorKind::WouldBlock {
            self.end(now, key, StreamEnd::Failed(error.kind()), service);
        }
    }

    /// Hands over the frames in `read`, a part of the scratch buffer, and keeps the half one behind them.
    pub(super) fn frames<S: Service>(&mut self, now: Sample, key: StreamKey, read: Span, service: &mut S) {
        let pushed = self.io.outbox.pushed();
        self.cut(now, key, read, service);
        if self.io.outbox.pushed() != pushed {
            self.io.keep_scratch(read.end);
        }
    }

    fn cut<S: Service>(&mut self, now: Sample, key: StreamKey, read: Span, service: &mut S) {
        let Span { start: mut at, end } = read;
        let mut left = FRAMES;
        while at < end {
            let Some(info) = self.io.info(key) else {
                return; // the service closed it
            };
            let rest = Span { start: at, end };
            // SAFETY: nothing writes to this part of the scratch buffer while this slice lives.
            let bytes = unsafe { self.region.bytes(rest) };
            if left == 0 {
                return self.io.set_aside(key, bytes);
            }
            match service.frame_len(&info, bytes) {
                Ok(Some(length)) if length == 0 || length > MAX_FRAME => {
                    return self.end(now, key, StreamEnd::Malformed, service);
                }
                Ok(Some(length)) if length <= bytes.len() => {
                    let payload = Span { start: at, end: at + length };
                    self.io.stats.frames_received.add(1);
                    // SAFETY: the frames of one read do not overlap, and this one is given no room beyond its own bytes.
                    let mut frame = unsafe { Packet::new(&self.region, Room { payload, headroom: 0, tailroom: 0 }) };
                    service.frame(now, &info, &mut frame, &mut self.io);
                    at += length;
                    left -= 1;
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
    pub(super) fn end<S: Service>(&mut self, now: Sample, key: StreamKey, end: StreamEnd, service: &mut S) {
        let Some(info) = self.io.info(key) else {
            return;
        };
        service.closed(now, &info, end, &mut self.io);
        match end {
            StreamEnd::PeerClosed | StreamEnd::Malformed | StreamEnd::Handshake => self.io.close_stream(key),
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
