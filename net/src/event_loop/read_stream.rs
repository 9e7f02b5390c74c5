//! Reading streams, cutting what was read into frames, and telling the service when one ends.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::EventLoop;
use super::memory::{CIPHER, ROOM};
use super::service::Service;
use super::streams::StreamInfo;
use crate::clock::Sample;
use crate::epoll::Readiness;
use crate::keys::StreamKey;
use crate::packet::{Packet, Room};
use crate::region::Span;
use crate::stats::Stats;
use crate::tcp::{Aside, Layer, MAX_FRAME, Malformed, Progress, READ, State, StreamEnd, receive};

/// Bytes of a frame from which its length must be known.
const ENOUGH_FOR_LENGTH: usize = 16;

/// Streams waiting beyond which only [`SHORT_READ`] bytes are read of each, so that what is read
/// and waits stays small.
const LONG_LINE: usize = 64;
const SHORT_READ: usize = 4 << 10;

/// Maximum plaintext of one TLS record, in bytes.
const RECORD: usize = 16 << 10;

/// The first `most` bytes of `buffer`, or all.
fn at_most(most: usize, buffer: &mut [u8]) -> &mut [u8] {
    let len = buffer.len().min(most);
    &mut buffer[..len]
}

/// The bytes at `range` of `room`.
fn part(room: Span, range: &Range<usize>) -> Span {
    Span { start: room.start + range.start, end: room.start + range.end }
}

fn counted(stats: &Stats, received: io::Result<usize>) -> io::Result<usize> {
    received.inspect(|count| stats.streams_received_bytes.add(*count as u64))
}

impl EventLoop {
    pub(super) fn stream_ready<S: Service>(
        &mut self,
        now: Sample,
        key: StreamKey,
        ready: Readiness,
        service: &mut S,
    ) {
        if ready.writable() || ready.error() {
            self.io.streams.write(key);
        }
        if ready.readable() || ready.error() {
            if self.budget.is_spent_on_streams() {
                self.io.streams.wait_in_line(key);
            } else {
                self.read_stream(now, key, service);
            }
        }
        self.report_failed(now, service);
    }

    fn read_stream<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let Some(stream) = self.io.streams.get(key) else {
            return;
        };
        match (&stream.layer, stream.state) {
            (_, State::Draining { .. }) => {}
            _ if stream.in_line => {} // it waits for its share
            (Layer::Plain, _) => self.read_plain(now, key, service),
            (Layer::Setup(_), _) => self.read_setup(now, key, service),
            (Layer::Secure(_), _) => self.read_records(now, key, service),
        }
    }

    /// Serves the streams that the last turn had no room for, in their order: each gets its share
    /// of the turn, and one that has more goes behind the others. They come before streams that
    /// have just become ready, or they would starve.
    pub(super) fn resume_streams<S: Service>(&mut self, now: Sample, service: &mut S) {
        for _ in 0..self.io.streams.waiting() {
            if self.budget.is_spent_on_streams() {
                break;
            }
            let Some(key) = self.io.streams.next_waiting() else { break };
            let Some(stream) = self.io.streams.get_mut(key) else { continue };
            stream.in_line = false;
            if stream.incoming.is_aside() {
                self.resume(now, key, service);
            } else {
                self.read_stream(now, key, service);
            }
        }
        self.report_failed(now, service);
    }

    /// Serves a stream frames that were set aside.
    fn resume<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let Some(stream) = self.io.streams.get_mut(key) else { return };
        let is_secure = matches!(stream.layer, Layer::Secure(_));
        let mut aside = stream.incoming.take_aside();
        let mut left = self.budget.share();
        while !aside.rest().is_empty() {
            let Some(info) = self.io.streams.info(key) else {
                return; // the service closed it
            };
            if left == 0 {
                return self.io.streams.set_aside(key, aside);
            }
            match next_frame(service, &info, aside.rest()) {
                Next::Frame(len) => {
                    let room = self.io.scratch_room();
                    let payload = part(room, &(0..len));
                    // SAFETY: nothing queued lies in this room of the scratch buffer, and no packet
                    // is alive.
                    unsafe { self.region.bytes_mut(payload) }.copy_from_slice(&aside.rest()[..len]);
                    aside.advance(len);
                    let pushed = self.io.datagrams.outbox().pushed();
                    self.frame(now, &info, payload, service);
                    if self.io.datagrams.outbox().pushed() != pushed {
                        self.io.memory.keep_scratch(payload.end);
                    }
                    left -= 1;
                }
                Next::Half(announced) => {
                    if let Some(stream) = self.io.streams.get_mut(key) {
                        stream.incoming.keep(aside.rest(), announced);
                    }
                    service.half_frame(now, &info, &mut self.io);
                    break;
                }
                Next::Malformed => return self.end(now, key, StreamEnd::Malformed, service),
            }
        }
        if is_secure {
            self.decrypted(now, key, &[], service); // for the end that the records may have told of
        }
    }

    /// How much to read of a stream at a time.
    fn read_len(&self) -> usize {
        if self.io.streams.waiting() > LONG_LINE { SHORT_READ } else { READ }
    }

    fn read_plain<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let (room, most) = (self.io.scratch_room(), self.read_len());
        let Some(stream) = self.io.streams.get_mut(key) else {
            return;
        };
        let (fd, stats, budget) = (stream.raw_fd(), &self.io.stats, &mut self.budget);
        stream.note_read(now.monotonic);
        // SAFETY: nothing queued lies in this room of the scratch buffer, and no packet is alive.
        let scratch = unsafe { self.region.bytes_mut(room) };
        let receive = |buffer: &mut [u8]| {
            counted(stats, receive(fd, at_most(most, buffer))).inspect(|count| budget.read(*count))
        };
        match stream.incoming.read(receive, scratch) {
            Ok(Progress::Bytes(range)) => self.frames(now, key, part(room, &range), service),
            Ok(Progress::Pending) => {}
            Ok(Progress::End) => self.end(now, key, StreamEnd::PeerClosed, service),
            Err(error) => self.read_failed(now, key, &error, service),
        }
    }

    /// Reads records once, and passes the frames in them to the service.
    fn read_records<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let most = if self.io.streams.waiting() > LONG_LINE { SHORT_READ } else { ROOM };
        let Some(stream) = self.io.streams.get_mut(key) else {
            return;
        };
        stream.note_read(now.monotonic);
        // All of it, the end of a record that was begun before, and the half frame before that must
        // fit into one room: what is too much for the turn is set aside from there, decrypted.
        let most = most.min(ROOM - RECORD - stream.incoming.ahead());
        let region = Arc::clone(&self.region);
        // SAFETY: this room is used by one read at a time, and no slice of it outlives the read.
        let buffer = unsafe { region.bytes_mut(CIPHER) };
        match receive(stream.raw_fd(), at_most(most, buffer)) {
            Ok(0) => self.end(now, key, StreamEnd::PeerClosed, service),
            Ok(count) => {
                self.budget.read(count);
                self.decrypted(now, key, &buffer[..count], service);
            }
            Err(error) => self.read_failed(now, key, &error, service),
        }
    }

    /// Decrypts all of `records`, and passes the frames in them to the service.
    pub(super) fn decrypted<S: Service>(
        &mut self,
        now: Sample,
        key: StreamKey,
        records: &[u8],
        service: &mut S,
    ) {
        let (mut records, mut is_part) = (records, !records.is_empty());
        loop {
            let room = self.io.scratch_room();
            let Some(stream) =
                self.io.streams.get_mut(key).filter(|stream| stream.state == State::Open)
            else {
                return; // the service closed it
            };
            if stream.incoming.is_aside() {
                // They held more than a turn takes; by then all of them had been decrypted.
                return;
            }
            let Layer::Secure(session) = &mut stream.layer else { return };
            let stats = &self.io.stats;
            // SAFETY: nothing queued lies in this room of the scratch buffer, and no packet is
            // alive.
            let scratch = unsafe { self.region.bytes_mut(room) };
            match stream
                .incoming
                .read(|buffer| counted(stats, session.read(&mut records, buffer)), scratch)
            {
                Ok(Progress::Bytes(range)) => {
                    is_part = false;
                    self.frames(now, key, part(room, &range), service);
                }
                Ok(Progress::Pending) => is_part = false,
                Ok(Progress::End) => return self.end(now, key, StreamEnd::PeerClosed, service),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if session.wants_write() {
                        // The protocol's own replies, such as to a change of keys.
                        self.io.streams.write_later(key);
                    } else if is_part && let Some(info) = self.io.streams.info(key) {
                        service.half_frame(now, &info, &mut self.io);
                    }
                    return;
                }
                Err(_) => return self.end(now, key, StreamEnd::Malformed, service),
            }
        }
    }

    pub(super) fn read_failed<S: Service>(
        &mut self,
        now: Sample,
        key: StreamKey,
        error: &io::Error,
        service: &mut S,
    ) {
        if error.kind() != io::ErrorKind::WouldBlock {
            self.end(now, key, StreamEnd::Failed(error.kind()), service);
        }
    }

    /// Passes the frames in `read`, a part of the scratch buffer, to the service, and keeps the
    /// half one behind them.
    pub(super) fn frames<S: Service>(
        &mut self,
        now: Sample,
        key: StreamKey,
        read: Span,
        service: &mut S,
    ) {
        let pushed = self.io.datagrams.outbox().pushed();
        self.cut(now, key, read, service);
        if self.io.datagrams.outbox().pushed() != pushed {
            self.io.memory.keep_scratch(read.end);
        }
    }

    fn cut<S: Service>(&mut self, now: Sample, key: StreamKey, read: Span, service: &mut S) {
        let Span { start: mut at, end } = read;
        let mut left = self.budget.share();
        while at < end {
            let Some(info) = self.io.streams.info(key) else {
                return; // the service closed it
            };
            let rest = Span { start: at, end };
            // SAFETY: nothing writes to this part of the scratch buffer while this slice lives.
            let bytes = unsafe { self.region.bytes(rest) };
            if left == 0 {
                return self.io.streams.set_aside(key, Aside::of(bytes));
            }
            match next_frame(service, &info, bytes) {
                Next::Frame(length) => {
                    self.frame(now, &info, Span { start: at, end: at + length }, service);
                    at += length;
                    left -= 1;
                }
                Next::Half(announced) => {
                    if let Some(stream) = self.io.streams.get_mut(key) {
                        stream.incoming.keep(bytes, announced);
                    }
                    // "PROX" looks like a channel number and a length.
                    self.reject_header(now, key, bytes, service);
                    return service.half_frame(now, &info, &mut self.io);
                }
                Next::Malformed => {
                    self.reject_header(now, key, bytes, service);
                    return self.end(now, key, StreamEnd::Malformed, service);
                }
            }
        }
    }

    /// Passes one frame to the service where it lies in the scratch buffer.
    fn frame<S: Service>(
        &mut self,
        now: Sample,
        info: &StreamInfo,
        payload: Span,
        service: &mut S,
    ) {
        self.budget.frames = self.budget.frames.saturating_sub(1);
        self.io.stats.frames_received.add(1);
        // SAFETY: frames do not overlap, and this one is given no room beyond its own bytes.
        let mut frame =
            unsafe { Packet::new(&self.region, Room { payload, headroom: 0, tailroom: 0 }) };
        service.frame(now, info, &mut frame, &mut self.io);
    }

    /// Tells the service that a stream ended, and writes what is queued if the peer may still read.
    pub(super) fn end<S: Service>(
        &mut self,
        now: Sample,
        key: StreamKey,
        end: StreamEnd,
        service: &mut S,
    ) {
        let Some(info) = self.io.streams.info(key) else {
            return;
        };
        service.closed(now, &info, end, &mut self.io);
        match end {
            StreamEnd::PeerClosed | StreamEnd::Malformed | StreamEnd::Handshake => {
                self.io.close_stream(key);
            }
            StreamEnd::Failed(_) => self.io.reset_stream(key),
        }
    }

    /// Tells the service of streams that failed while being written.
    pub(super) fn report_failed<S: Service>(&mut self, now: Sample, service: &mut S) {
        while let Some((key, end)) = self.io.streams.next_failed() {
            self.end(now, key, end, service);
        }
    }
}

/// The beginning of a stream's bytes.
enum Next {
    /// A frame of this length.
    Frame(usize),
    /// A part of a frame, with the frame's length if that is known.
    Half(Option<usize>),
    /// Bytes that begin no frame.
    Malformed,
}

fn next_frame<S: Service>(service: &mut S, info: &StreamInfo, bytes: &[u8]) -> Next {
    match service.frame_len(info, bytes) {
        Ok(Some(length)) if length == 0 || length > MAX_FRAME => Next::Malformed,
        Ok(Some(length)) if length <= bytes.len() => Next::Frame(length),
        Ok(None) if bytes.len() >= ENOUGH_FOR_LENGTH => Next::Malformed,
        Ok(announced) => Next::Half(announced),
        Err(Malformed) => Next::Malformed,
    }
}
