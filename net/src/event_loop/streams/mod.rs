//! A worker's TCP connections: their table, the frames that wait, and how they end.

mod setup;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::budget::take;
use crate::epoll::{Epoll, Interest, Source};
use crate::keys::{Connection, ListenerKey, StreamKey};
use crate::secure::{Failure, HandshakerClient};
use crate::slots::Slots;
use crate::stats::Stats;
use crate::tcp::{Aside, Layer, Spare, State, Stream, StreamEnd};

/// How long a closed stream may take to write what was queued.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// One connection, as the service sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its key.
    pub key: StreamKey,
    /// The number that the service gave it; while it is being accepted: the listener's.
    pub tag: u64,
    /// The listener that accepted it.
    pub listener: Option<ListenerKey>,
    /// The client's address; through a trusted proxy: the address that the proxy names.
    pub peer: SocketAddr,
    /// The server's address that the client connected to.
    pub local: SocketAddr,
    /// Whether it is TLS, with its handshake done.
    pub secure: bool,
}

/// Why a frame was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// The stream has [`MAX_QUEUE`](crate::MAX_QUEUE) bytes waiting.
    QueueFull,
    /// The stream or association is gone, or the client has not yet shown whether it speaks TLS.
    Gone,
    /// It is longer than a DTLS record may be, 2^14 bytes.
    TooLong,
}

/// The TCP connections of one worker.
pub(super) struct Streams {
    streams: Slots<Connection, Stream>,
    /// Memory for queued frames, shared by the streams.
    spare: Spare,
    /// Streams that the turn had no room for: they have bytes to be read, or frames that were set
    /// aside.
    line: VecDeque<StreamKey>,
    /// Streams with frames to be written at the flush.
    dirty: Vec<StreamKey>,
    /// Closed streams whose last bytes the peer has not taken yet.
    draining: Vec<StreamKey>,
    /// Streams that failed while being written; the service does not know yet.
    failed: Vec<(StreamKey, StreamEnd)>,
    /// When each stream in setup will have taken too long, by the bits of its key. Entries of
    /// streams that are open by now, or gone, stay until their time comes.
    deadlines: BinaryHeap<Reverse<(Duration, u64)>>,
    epoll: Arc<Epoll>,
    handshaker: Option<HandshakerClient>,
    stats: Arc<Stats>,
}

impl Streams {
    pub(super) fn new(
        epoll: Arc<Epoll>,
        handshaker: Option<HandshakerClient>,
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            streams: Slots::new(),
            spare: Spare::default(),
            line: VecDeque::new(),
            dirty: Vec::new(),
            draining: Vec::new(),
            failed: Vec::new(),
            deadlines: BinaryHeap::new(),
            epoll,
            handshaker,
            stats,
        }
    }

    /// Whether TLS can be served: there is a handshaker.
    pub(super) fn can_be_secure(&self) -> bool {
        self.handshaker.is_some()
    }

    pub(super) fn get(&self, key: StreamKey) -> Option<&Stream> {
        self.streams.get(key)
    }

    pub(super) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.streams.get_mut(key)
    }

    /// An open stream, as the service sees it.
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

    /// Adds an accepted connection and watches it. `None`: the kernel has no memory to watch it,
    /// and it was reset.
    pub(super) fn insert(&mut self, stream: Stream) -> Option<StreamKey> {
        self.stats.streams_accepted.add(1);
        let fd = stream.raw_fd();
        let key = self.streams.insert(stream);
        self.stats.streams_open.set(self.streams.len() as u64);
        if self.epoll.add(fd, Source::Stream(key), Interest::READ).is_err() {
            self.refuse(key);
            return None;
        }
        Some(key)
    }

    /// Resets a connection that the service does not take.
    pub(super) fn refuse(&mut self, key: StreamKey) {
        self.stats.streams_refused.add(1);
        self.reset(key);
    }

    /// Closes a stream after its queue is written.
    pub(super) fn close(&mut self, key: StreamKey, now: Duration) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.state != State::Open {
            return;
        }
        let secure = matches!(stream.layer, Layer::Secure(_));
        if stream.outgoing.is_empty() && !secure {
            self.remove(key);
            return;
        }
        stream.state = State::Draining { until: now + DRAIN_TIME };
        stream.incoming = crate::tcp::Incoming::default();
        let interest = Interest { read: false, write: stream.interest.write };
        self.watch(key, interest);
        self.draining.push(key);
        if secure {
            self.dirty.push(key); // to send close_notify, with what else waits
        }
    }

    /// Closes a stream at once and drops its queue; the peer sees a reset.
    pub(super) fn reset(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get(key)
            && stream.state == State::Open
        {
            stream.close_by_reset();
            self.remove(key);
        }
    }

    pub(super) fn remove(&mut self, key: StreamKey) {
        self.cancel_handshake(key, Failure::Gone);
        if self.streams.remove(key).is_some() {
            self.stats.streams_closed.add(1);
            self.stats.streams_open.set(self.streams.len() as u64);
        }
    }

    /// Bytes that the stream's peer has not taken yet. `None`: the stream is gone.
    pub(super) fn queue_len(&self, key: StreamKey) -> Option<usize> {
        let stream = self.streams.get(key)?;
        (stream.state == State::Open).then(|| stream.outgoing.len())
    }

    /// Queues one frame, given in parts.
    ///
    /// # Errors
    /// [`Unsent`]: it was counted as dropped.
    pub(super) fn queue_frame(&mut self, key: StreamKey, parts: &[&[u8]]) -> Result<(), Unsent> {
        let takes = |stream: &&mut Stream| {
            stream.state == State::Open && !matches!(stream.layer, Layer::Setup(_))
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

    /// Has a stream written at the flush.
    pub(super) fn write_later(&mut self, key: StreamKey) {
        self.dirty.push(key);
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
    pub(super) fn flush(&mut self) {
        while let Some(key) = self.dirty.pop() {
            self.write(key);
        }
    }

    pub(super) fn write(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        match stream.write() {
            Ok(written) => {
                stream.outgoing.rest(&mut self.spare);
                self.stats.streams_sent_bytes.add(written.bytes as u64);
                let interest = stream.wanted(written.all);
                if written.all && matches!(stream.state, State::Draining { .. }) {
                    self.remove(key);
                } else {
                    self.watch(key, interest);
                }
            }
            Err(_) if matches!(stream.state, State::Draining { .. }) => self.remove(key),
            Err(error) => self.failed.push((key, StreamEnd::Failed(error.kind()))),
        }
    }

    /// The next stream that failed while being written.
    pub(super) fn next_failed(&mut self) -> Option<(StreamKey, StreamEnd)> {
        self.failed.pop()
    }

    /// Gives up closed streams whose peer does not read, as many as are `left` of the turn.
    pub(super) fn tend(&mut self, now: Duration, left: &mut usize) {
        let mut draining = std::mem::take(&mut self.draining);
        draining.retain(|key| {
            let Some(stream) = self.streams.get_mut(*key) else {
                return false;
            };
            let State::Draining { until } = stream.state else { return false };
            let is_over = now >= until && take(left);
            if is_over {
                stream.close_by_reset();
                self.remove(*key);
            }
            !is_over
        });
        draining.append(&mut self.draining);
        self.draining = draining;
    }

    /// Whether streams have time limits that may run out.
    pub(super) fn need_tending(&self) -> bool {
        !self.draining.is_empty() || !self.deadlines.is_empty()
    }

    /// How many streams wait for their share of the next turn.
    pub(super) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Takes the first of the waiting streams; its key may be stale.
    pub(super) fn next_waiting(&mut self) -> Option<StreamKey> {
        self.line.pop_front()
    }

    /// Has a stream served in the next turn, behind those that wait already.
    pub(super) fn wait_in_line(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(key)
            && !std::mem::replace(&mut stream.in_line, true)
        {
            self.line.push_back(key);
        }
    }

    /// Keeps frames that are too many for this turn, until the stream's next share.
    pub(super) fn set_aside(&mut self, key: StreamKey, frames: Aside) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.incoming.set_aside(frames);
            self.wait_in_line(key);
        }
    }
}
