use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_wire::{Message, Transport};
use rand::rngs::StdRng;

use crate::binding::{Binding, BindingAsk, BindingId, BindingRequest};
use crate::credentials::Credentials;
use crate::exchange::{Exchange, Manner, Settled};
use crate::failure::Failure;
use crate::received::{Discard, Received};
use crate::timing::Timing;
use crate::transmit::Transmit;

/// How a [`StunClient`] asks.
#[derive(Clone, Debug)]
pub struct StunConfig {
    /// How the servers are reached.
    pub transport: Transport,
    /// How patiently.
    pub timing: Timing,
    /// Used when a server challenges.
    pub credentials: Option<Credentials>,
    /// SOFTWARE, if it shall be told.
    pub software: Option<String>,
    /// Whether requests carry FINGERPRINT.
    pub fingerprint: bool,
}

impl Default for StunConfig {
    fn default() -> Self {
        Self {
            transport: Transport::Udp,
            timing: Timing::default(),
            credentials: None,
            software: None,
            fingerprint: true,
        }
    }
}

/// How a Binding request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingEvent {
    /// Which one.
    pub id: BindingId,
    /// What came of it.
    pub outcome: Result<Binding, Failure>,
}

/// Asks Binding requests from one socket, of one or several servers.
///
/// Inputs: [`bind`](Self::bind), [`handle_input`](Self::handle_input) for every datagram (or frame
/// of the stream) that came in, [`handle_timeout`](Self::handle_timeout) when the deadline has
/// passed, [`handle_transport_error`](Self::handle_transport_error). After each input: send all of
/// [`poll_transmit`](Self::poll_transmit), take all of [`poll_event`](Self::poll_event), then ask
/// [`poll_timeout`](Self::poll_timeout) anew. `now` never goes back. Each request ends with exactly
/// one event.
#[derive(Debug)]
pub struct StunClient {
    exchange: Exchange<BindingAsk>,
    events: VecDeque<BindingEvent>,
    next: u64,
}

impl StunClient {
    /// A client without requests. `rng` is to be seeded by the operating system: transaction ids
    /// must not be guessed (H26).
    #[must_use]
    pub fn new(config: StunConfig, rng: StdRng) -> Self {
        let StunConfig { transport, timing, credentials, software, fingerprint } = config;
        let manner = Manner { transport, timing, software, fingerprint, credentials };
        Self { exchange: Exchange::new(manner, rng), events: VecDeque::new(), next: 0 }
    }

    /// Asks `server`. The first transmission is ready at once.
    pub fn bind(
        &mut self,
        now: Duration,
        server: SocketAddr,
        request: BindingRequest,
    ) -> BindingId {
        let id = BindingId(self.next);
        self.next += 1;
        if let Err(failure) = self.exchange.request(now, server, BindingAsk { id, request }) {
            self.events.push_back(BindingEvent { id, outcome: Err(failure) });
        }
        id
    }

    /// Takes a datagram, or a frame of the stream, that came from `source`.
    pub fn handle_input<'a>(
        &mut self,
        now: Duration,
        source: SocketAddr,
        bytes: &'a [u8],
    ) -> Received<'a> {
        let Ok(message) = Message::decode(bytes) else {
            return Received::Discarded(Discard::NotStun);
        };
        match self.exchange.handle(now, source, message) {
            Err(discard) => Received::Discarded(discard),
            Ok(None) => Received::Consumed,
            Ok(Some(settled)) => {
                self.settled(source, settled);
                Received::Consumed
            }
        }
    }

    /// Repeats what is due and gives up what nobody answered.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((ask, failure)) = self.exchange.handle_timeout(now) {
            self.events.push_back(BindingEvent { id: ask.id, outcome: Err(failure) });
        }
    }

    /// Ends all requests: the connection failed, or the host is unreachable (RFC 8489 §6.2.1,
    /// §6.2.2).
    pub fn handle_transport_error(&mut self) {
        for ask in self.exchange.abandon() {
            self.events.push_back(BindingEvent { id: ask.id, outcome: Err(Failure::Transport) });
        }
    }

    /// The next message to be sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.exchange.poll_transmit()
    }

    /// The next request that has ended.
    pub fn poll_event(&mut self) -> Option<BindingEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while no request is open.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.exchange.poll_timeout()
    }

    fn settled(&mut self, source: SocketAddr, settled: Settled<'_, BindingAsk>) {
        let Settled { ask, answer, round_trip, sent } = settled;
        let outcome = answer.and_then(|message| {
            Binding::read(&message, source, round_trip, sent).ok_or(Failure::Malformed)
        });
        self.events.push_back(BindingEvent { id: ask.id, outcome });
    }
}
