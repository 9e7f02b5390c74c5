//! Streams in the loop: writing frames, ending. Reading is in [`reading`](super::reading).

use std::time::Duration;

use super::budget::take;
use super::io::{Io, Unsent};
use super::service::{Service, StreamInfo};
use super::{EventLoop, StreamKey};
use crate::clock::Sample;
use crate::epoll::{Interest, Source};
use crate::secure::Failure;
use crate::tcp::{Aside, Layer, State, Stream, StreamEnd};

/// How long a closed stream may take to write what was queued.
const DRAIN_TIME: Duration = Duration::from_secs(5);

impl Io {
    /// Closes a stream: what is queued is still written, for a few seconds at the most.
    /// [`Service::closed`] is not called.
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

    /// Closes a stream at once, dropping what is queued; the peer sees a reset. [`Service::closed`]
    /// is not called.
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
        let takes = |stream: &&mut Stream| {
            stream.state == State::Open && !matches!(stream.layer, Layer::Opening(_))
        };
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

    /// Gives up on closed streams whose peer does not read, on as many as are `left` of the turn.
    pub(super) fn tend_streams(&mut self, left: &mut usize) {
        let now = self.now;
        let mut draining = std::mem::take(&mut self.draining);
        draining.retain(|key| {
            let Some(stream) = self.streams.get_mut(*key) else {
                return false;
            };
            let State::Draining { until } = stream.state else { return false };
            let is_over = now >= until && take(left);
            if is_over {
                stream.close_by_reset();
                self.drop_stream(*key);
            }
            !is_over
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
    /// Keeps frames that are too many for this turn, until the stream's next share.
    pub(super) fn set_aside(&mut self, key: StreamKey, frames: Aside) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.incoming.set_aside(frames);
            self.stand_in_line(key);
        }
    }

    /// Has a stream served in the next turn, behind those that stand there already.
    pub(super) fn stand_in_line(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(key)
            && !std::mem::replace(&mut stream.in_line, true)
        {
            self.line.push_back(key);
        }
    }
}

impl EventLoop {
    /// Tells the service that a stream ended, then writes out what is queued if the peer may still
    /// read.
    pub(super) fn end<S: Service>(
        &mut self,
        now: Sample,
        key: StreamKey,
        end: StreamEnd,
        service: &mut S,
    ) {
        let Some(info) = self.io.info(key) else {
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
        while let Some((key, end)) = self.io.failed.pop() {
            self.end(now, key, end, service);
        }
    }
}
