//! Connections in setup: their deadlines, and their side of the correspondence with the handshaker.

use std::cmp::Reverse;
use std::time::Duration;

use super::super::listener_options::StreamListenerOptions;
use super::Streams;
use crate::keys::StreamKey;
use crate::secure::{Failure, Request, TlsRequest, TlsSession};
use crate::tcp::{Layer, Outgoing, Setup, Stage, State};

/// How long a trusted proxy may take to send its header.
const HEADER_TIME: Duration = Duration::from_secs(5);

impl Streams {
    /// Makes a new connection wait for its proxy's header.
    pub(in super::super) fn await_proxy(&mut self, key: StreamKey, now: Duration) {
        let deadline = now + HEADER_TIME;
        if let Some(stream) = self.streams.get_mut(key) {
            stream.state = State::Arriving;
            stream.layer = Layer::Setup(Setup::new(Stage::ProxyHeader(Vec::new()), Some(deadline)));
            self.deadlines.push(Reverse((deadline, key.to_bits())));
        }
    }

    /// Makes a connection wait for its first byte, if that decides on anything.
    pub(in super::super) fn await_first_byte(
        &mut self,
        key: StreamKey,
        options: &StreamListenerOptions,
        now: Duration,
    ) {
        let layer = self.first_layer(options, now);
        if let Layer::Setup(setup) = &layer
            && let Some(deadline) = setup.deadline
        {
            self.deadlines.push(Reverse((deadline, key.to_bits())));
        }
        if let Some(stream) = self.streams.get_mut(key) {
            stream.layer = layer;
        }
    }

    /// The layer that a connection begins with.
    fn first_layer(&self, options: &StreamListenerOptions, now: Duration) -> Layer {
        let Some(handshaker) = self.handshaker.as_ref().filter(|_| options.tls) else {
            return Layer::Plain;
        };
        // Where plain frames are taken too, the service's own timeout ends a silent connection.
        let deadline = (!options.plain).then(|| now + handshaker.shared().limits.time);
        Layer::Setup(Setup::new(Stage::FirstByte, deadline))
    }

    /// Sends the first bytes of a connection's handshake to the handshaker.
    ///
    /// # Errors
    /// The limits allow no more, or the handshaker's mailbox is full. That is counted.
    pub(in super::super) fn begin_handshake(
        &mut self,
        key: StreamKey,
        bytes: &[u8],
        now: Duration,
    ) -> Result<(), Failure> {
        let (Some(handshaker), Some(stream)) = (&self.handshaker, self.streams.get_mut(key)) else {
            return Err(Failure::Gone);
        };
        let shared = handshaker.shared();
        shared.readings.started();
        let Ok(guard) = shared.half_open.take(stream.peer.ip()) else {
            shared.readings.failed(Failure::HalfOpen);
            return Err(Failure::HalfOpen);
        };
        let deadline = now + shared.limits.time;
        let stage = Stage::Handshake { _guard: guard, awaits_reply: false };
        stream.layer = Layer::Setup(Setup::new(stage, Some(deadline)));
        self.deadlines.push(Reverse((deadline, key.to_bits())));
        self.forward_handshake(key, bytes)
    }

    /// Sends the handshaker what the client sent. Nothing more is read until it replies.
    ///
    /// # Errors
    /// The handshaker's mailbox is full. That is counted.
    pub(in super::super) fn forward_handshake(
        &mut self,
        key: StreamKey,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        let (Some(handshaker), Some(stream)) = (&self.handshaker, self.streams.get_mut(key)) else {
            return Err(Failure::Gone);
        };
        if !handshaker.send(Request::Tls(TlsRequest::Bytes(key, bytes.to_vec()))) {
            self.cancel_handshake(key, Failure::Busy);
            return Err(Failure::Busy);
        }
        if let Layer::Setup(setup) = &mut stream.layer
            && let Stage::Handshake { awaits_reply, .. } = &mut setup.stage
        {
            *awaits_reply = true;
        }
        let wanted = stream.wanted(!stream.interest.write);
        self.watch(key, wanted);
        Ok(())
    }

    /// Tells the handshaker, and the counters, that a handshake under way is given up.
    pub(in super::super) fn cancel_handshake(&mut self, key: StreamKey, failure: Failure) {
        let (Some(handshaker), Some(stream)) = (&self.handshaker, self.streams.get_mut(key)) else {
            return;
        };
        let Layer::Setup(setup) = &stream.layer else { return };
        if matches!(setup.stage, Stage::Handshake { .. }) {
            stream.layer = Layer::Plain;
            handshaker.shared().readings.failed(failure);
            // With a full mailbox the handshaker forgets it by its own time limit.
            let _ = handshaker.send(Request::Tls(TlsRequest::Cancel(key)));
        }
    }

    /// Queues `bytes`, which the handshaker replied, for the client. The queue; `None`: the stream
    /// has no handshake under way.
    ///
    /// # Errors
    /// The client does not read: the queue is full. It comes with what is queued.
    pub(in super::super) fn take_reply(
        &mut self,
        key: StreamKey,
        bytes: &[u8],
    ) -> Option<(Outgoing, Result<(), Failure>)> {
        let stream = self.streams.get_mut(key)?;
        let Layer::Setup(setup) = &mut stream.layer else { return None };
        let Stage::Handshake { awaits_reply, .. } = &mut setup.stage else { return None };
        *awaits_reply = false;
        let pushed = setup.flight.push(&[bytes], &mut self.spare);
        let flight = std::mem::take(&mut setup.flight);
        Some((
            flight,
            if pushed { Ok(()) } else { Err(Failure::Refused("the client does not read")) },
        ))
    }

    /// Goes on with a handshake whose client has to answer `flight`.
    pub(in super::super) fn continue_handshake(&mut self, key: StreamKey, flight: Outgoing) {
        if let Some(stream) = self.streams.get_mut(key)
            && let Layer::Setup(setup) = &mut stream.layer
        {
            setup.flight = flight;
            self.write(key);
        }
    }

    /// Goes on with the session that a handshake has led to.
    pub(in super::super) fn finish_handshake(&mut self, key: StreamKey, session: TlsSession) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.layer = Layer::Secure(Box::new(session));
            self.write(key);
        }
    }

    /// Counts a handshake that failed, and has its `alert` written at the flush.
    pub(in super::super) fn fail_handshake(
        &mut self,
        key: StreamKey,
        failure: Failure,
        alert: Outgoing,
    ) {
        if let (Some(handshaker), Some(stream)) = (&self.handshaker, self.streams.get_mut(key)) {
            handshaker.shared().readings.failed(failure);
            stream.layer = Layer::Plain;
            stream.outgoing = alert;
            stream.discard_received();
            self.dirty.push(key);
        }
    }

    /// Resets a connection whose proxy sent no header that can be taken.
    pub(in super::super) fn refuse_proxy(&mut self, key: StreamKey) {
        self.stats.streams_without_proxy_header.add(1);
        if let Some(stream) = self.streams.get(key) {
            stream.close_by_reset();
        }
        self.remove(key);
    }

    /// Whether any stream may have taken too long in setup.
    pub(in super::super) fn has_late(&self, now: Duration) -> bool {
        self.deadlines.peek().is_some_and(|Reverse((at, _))| *at <= now)
    }

    /// The stream whose time ran out first, if it is still in setup with that deadline.
    pub(in super::super) fn next_late(&mut self) -> Option<StreamKey> {
        let Reverse((at, bits)) = self.deadlines.pop()?;
        let key = StreamKey::from_bits(bits);
        let stream = self.streams.get(key)?;
        let Layer::Setup(setup) = &stream.layer else { return None };
        (setup.deadline == Some(at)).then_some(key)
    }
}
