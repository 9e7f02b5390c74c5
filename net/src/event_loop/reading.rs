//! Streams in the loop: reading, and cutting what was read into frames.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::io::CIPHER;
use super::scratch::ROOM;
use super::service::Service;
use super::{EventLoop, StreamKey};
use crate::clock::Sample;
use crate::epoll::Readiness;
use crate::packet::{Packet, Room};
use crate::region::Span;
use crate::stats::Stats;
use crate::tcp::{Layer, MAX_FRAME, Progress, READ, State, StreamEnd, receive};

/// Bytes of a frame that must be enough for its length to be known.
const ENOUGH_FOR_LENGTH: usize = 16;

/// Frames that one stream is served of in one turn: about as many as a batch of datagrams has. A read can bring thousands of short ones.
const FRAMES: usize = 128;

/// The most that is encrypted in one record of TLS.
const RECORD: usize = 16 << 10;

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
}
