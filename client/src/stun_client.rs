//! The STUN client: Binding requests from one socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_wire::{Message, Transport};
use rand::rngs::StdRng;

use crate::binding::{Binding, BindingId, BindingRequest, NamedRequest};
use crate::credentials::Credentials;
use crate::exchange::{Exchange, Finished, Settings};
use crate::failure::Failure;
use crate::messages::{Discard, Received, Transmit};
use crate::timing::Timing;

/// The configuration of a [`StunClient`].
#[derive(Clone, Debug)]
pub struct StunConfig {
    /// The transport to the servers.
    pub transport: Transport,
    /// How long requests are repeated and waited for.
    pub timing: Timing,
    /// The credentials for a server that requires them.
    pub credentials: Option<Credentials>,
    /// The value of SOFTWARE in requests; `None` to leave it out.
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

/// The end of a Binding request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingEvent {
    /// The id that [`StunClient::bind`] returned.
    pub id: BindingId,
    /// The server's answer, or why there is none.
    pub outcome: Result<Binding, Failure>,
}

/// Sends Binding requests from one socket to one or several servers.
///
/// Inputs: [`bind`](Self::bind), [`handle_input`](Self::handle_input) for every datagram (or frame
/// of the stream) received, [`handle_timeout`](Self::handle_timeout) when the deadline has passed,
/// [`handle_transport_error`](Self::handle_transport_error). After each input: send all of
/// [`poll_transmit`](Self::poll_transmit), take all of [`poll_event`](Self::poll_event), then read
/// [`poll_timeout`](Self::poll_timeout) again. Each request ends with exactly one event.
///
/// Every `now`, and the deadline, is the time since a start that the caller chooses once for each
/// client. It never goes back.
#[derive(Debug)]
pub struct StunClient {
    exchange: Exchange<NamedRequest>,
    events: VecDeque<BindingEvent>,
    next: u64,
}

impl StunClient {
    /// A client without requests. The caller seeds `rng` from the operating system, because
    /// transaction ids must not be predictable (H26).
    #[must_use]
    pub fn new(config: StunConfig, rng: StdRng) -> Self {
        let StunConfig { transport, timing, credentials, software, fingerprint } = config;
        let settings = Settings { transport, timing, software, fingerprint, credentials };
        Self { exchange: Exchange::new(settings, rng), events: VecDeque::new(), next: 0 }
    }

    /// Sends a Binding request to `server`; the first transmission is ready at once. Returns the id
    /// that its event will have.
    pub fn bind(
        &mut self,
        now: Duration,
        server: SocketAddr,
        request: BindingRequest,
    ) -> BindingId {
        let id = BindingId(self.next);
        self.next += 1;
        if let Err(failure) = self.exchange.request(now, server, NamedRequest { id, request }) {
            self.events.push_back(BindingEvent { id, outcome: Err(failure) });
        }
        id
    }

    /// Processes a datagram, or a frame of the stream, received from `source`.
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
            Ok(Some(finished)) => {
                self.finished(source, finished);
                Received::Consumed
            }
        }
    }

    /// Repeats the requests that are due and ends those that timed out.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((request, failure)) = self.exchange.handle_timeout(now) {
            self.events.push_back(BindingEvent { id: request.id, outcome: Err(failure) });
        }
    }

    /// Ends all requests, because the connection failed or the host is unreachable (RFC 8489
    /// §6.2.1, §6.2.2).
    pub fn handle_transport_error(&mut self) {
        for request in self.exchange.abandon() {
            self.events
                .push_back(BindingEvent { id: request.id, outcome: Err(Failure::Transport) });
        }
    }

    /// Returns the next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.exchange.poll_transmit()
    }

    /// Returns the next request that has ended.
    pub fn poll_event(&mut self) -> Option<BindingEvent> {
        self.events.pop_front()
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) is due; `None` while no request
    /// is open.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.exchange.poll_timeout()
    }

    fn finished(&mut self, source: SocketAddr, finished: Finished<'_, NamedRequest>) {
        let Finished { request, answer, round_trip, sent } = finished;
        let outcome = answer.and_then(|message| {
            Binding::read(&message, source, round_trip, sent).ok_or(Failure::Malformed)
        });
        self.events.push_back(BindingEvent { id: request.id, outcome });
    }
}
