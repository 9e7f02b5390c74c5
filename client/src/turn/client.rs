//! The TURN client: its public interface, its state and its timers.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use causeway_wire::attribute::AddressFamily;
use rand::rngs::StdRng;

use super::allocation::Allocation;
use super::channel::Channels;
use super::config::TurnConfig;
use super::event::{Advice, Allocated, Event, Loss};
use super::permission::Permissions;
use super::request::{AllocateRequest, TurnRequest};
use crate::credentials::Security;
use crate::exchange::{Exchange, Request, Settings};
use crate::failure::Failure;
use crate::messages::Transmit;

/// One allocation at one TURN server, from Allocate to its deletion, kept alive with its
/// permissions and channels (RFC 8656).
///
/// **Inputs:** [`allocate`](Self::allocate) first; then [`permit`](Self::permit),
/// [`bind`](Self::bind), [`release`](Self::release), [`close`](Self::close);
/// [`handle_input`](Self::handle_input) for every datagram received, or over a stream for every
/// frame from [`StreamBuffer`](crate::StreamBuffer); [`handle_timeout`](Self::handle_timeout) when
/// the deadline has passed; [`handle_transport_error`](Self::handle_transport_error) when the
/// socket fails. The caller [`wrap`](Self::wrap)s data to peers in its own buffer and sends them.
///
/// **After each input:** send all of [`poll_transmit`](Self::poll_transmit) to the server, take all
/// of [`poll_event`](Self::poll_event), then read [`poll_timeout`](Self::poll_timeout) again.
///
/// **Time:** every `now`, and the deadline, is the time since a start that the caller chooses once
/// for each client. It never goes back.
///
/// A client serves one 5-tuple. After [`Event::Lost`], or a failure whose advice is another local
/// address or server, create another client.
#[derive(Debug)]
pub struct TurnClient {
    pub(super) config: TurnConfig,
    pub(super) exchange: Exchange<TurnRequest>,
    pub(super) state: State,
    pub(super) permissions: Permissions,
    pub(super) channels: Channels,
    pub(super) events: VecDeque<Event>,
}

/// The state of the client's allocation.
#[derive(Debug)]
pub(super) enum State {
    /// No allocation and no request for one.
    Idle,
    /// Allocate is pending; `closing` if the client was closed meanwhile.
    Allocating { closing: bool },
    /// The allocation exists.
    Allocated(Allocation),
    /// The Refresh that deletes it is pending; `announced` if [`Event::Closed`] follows.
    Deleting { announced: bool },
}

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no allocation.
    #[error("there is no allocation")]
    NoAllocation,
    /// There is an allocation already, or a request for one.
    #[error("there is an allocation already")]
    Allocated,
    /// There is no relayed address of the peer's family (RFC 8656 §10.1, §12.1).
    #[error("there is no relayed address of that family")]
    Family,
    /// The configuration combines options that RFC 8656 §7.1 does not allow together.
    #[error("the configuration combines options that exclude each other")]
    Contradiction,
    /// All channel numbers are bound, or not yet free again (RFC 8656 §12).
    #[error("no channel number is free")]
    NoChannel,
}

impl TurnClient {
    /// A client that has not sent anything. The caller seeds `rng` from the operating system,
    /// because transaction ids must not be predictable (H26).
    #[must_use]
    pub fn new(config: TurnConfig, rng: StdRng) -> Self {
        let settings = Settings {
            transport: config.transport,
            timing: config.timing,
            software: config.software.clone(),
            fingerprint: config.fingerprint,
            credentials: config.credentials.clone(),
        };
        Self {
            config,
            exchange: Exchange::new(settings, rng),
            state: State::Idle,
            permissions: Permissions::default(),
            channels: Channels::default(),
            events: VecDeque::new(),
        }
    }

    /// Requests the allocation; [`Event::Allocated`] or [`Event::Failed`] follows (RFC 8656 §7.1).
    ///
    /// # Errors
    /// [`RequestError::Allocated`] if there is an allocation or a request for one;
    /// [`RequestError::Contradiction`] if the configuration contradicts itself.
    pub fn allocate(&mut self, now: Duration) -> Result<(), RequestError> {
        if !matches!(self.state, State::Idle) {
            return Err(RequestError::Allocated);
        }
        if self.config.is_contradictory() {
            return Err(RequestError::Contradiction);
        }
        self.state = State::Allocating { closing: false };
        let TurnConfig { family, both_families, port, dont_fragment, .. } = self.config;
        let request = AllocateRequest {
            lifetime: self.lifetime(),
            family,
            both_families,
            port,
            dont_fragment,
        };
        self.request(now, TurnRequest::Allocate(request));
        Ok(())
    }

    /// Requests a permission for a peer, for all of its ports, and keeps it until the client is
    /// closed (RFC 8656 §10.1).
    ///
    /// # Errors
    /// [`RequestError`] without an allocation, or for a peer of another family.
    pub fn permit(&mut self, now: Duration, peer: IpAddr) -> Result<(), RequestError> {
        self.check_family(peer)?;
        if self.permissions.request(peer) {
            self.request(now, TurnRequest::CreatePermission { peer });
        }
        Ok(())
    }

    /// Binds a channel to a peer, which includes a permission, and keeps it until
    /// [`release`](Self::release) or the end of the allocation (RFC 8656 §12.1).
    ///
    /// # Errors
    /// [`RequestError`] without an allocation, for a peer of another family, or without a free
    /// channel.
    pub fn bind(&mut self, now: Duration, peer: SocketAddr) -> Result<(), RequestError> {
        self.check_family(peer.ip())?;
        let (number, open) = self.channels.request(peer, now).ok_or(RequestError::NoChannel)?;
        if !open {
            self.request(now, TurnRequest::ChannelBind { number, peer });
        }
        Ok(())
    }

    /// Stops refreshing a peer's channel. Once the channel has expired, data goes in Send
    /// indications.
    pub fn release(&mut self, peer: SocketAddr) {
        self.channels.release(peer);
    }

    /// Deletes the relayed address of one family of a dual allocation, with its permissions and
    /// channels: [`Event::FamilyReleased`] or [`Event::Failed`] follows (RFC 8656 §8.1).
    ///
    /// # Errors
    /// [`RequestError::NoAllocation`]; [`RequestError::Family`] unless the allocation has a relayed
    /// address of each family: "The client MUST only include a family type it previously
    /// allocated and has not yet deleted", and the last one is [`close`](Self::close)d.
    pub fn release_family(
        &mut self,
        now: Duration,
        family: AddressFamily,
    ) -> Result<(), RequestError> {
        let allocated = self.allocated().ok_or(RequestError::NoAllocation)?;
        if allocated.additional.is_none() {
            return Err(RequestError::Family);
        }
        self.request(now, TurnRequest::Refresh { lifetime: Some(0), family: Some(family) });
        Ok(())
    }

    /// Deletes the allocation. [`Event::Closed`] follows when the server has confirmed it, or
    /// cannot (RFC 8656 §8.1).
    pub fn close(&mut self, now: Duration) {
        match self.state {
            State::Deleting { .. } => self.state = State::Deleting { announced: true },
            State::Idle => self.events.push_back(Event::Closed),
            // An allocation that the server may be about to make has to be deleted too, which is
            // possible only after its answer.
            State::Allocating { .. } => self.state = State::Allocating { closing: true },
            State::Allocated(_) => {
                self.forget();
                self.state = State::Deleting { announced: true };
                self.request(now, TurnRequest::DELETE);
            }
        }
    }

    /// The allocation, while it lasts.
    #[must_use]
    pub fn allocated(&self) -> Option<Allocated> {
        match &self.state {
            State::Allocated(allocation) => Some(allocation.allocated),
            _ => None,
        }
    }

    /// How requests are authenticated; `None` until the server requires it.
    #[must_use]
    pub fn security(&self) -> Option<Security> {
        self.exchange.security()
    }

    /// Repeats pending requests, refreshes what is due and drops what has expired.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((request, failure)) = self.exchange.handle_timeout(now) {
            self.failed(now, &request, failure);
        }
        let State::Allocated(allocation) = &mut self.state else { return };
        if allocation.expires <= now {
            return self.lose(Loss::Expired);
        }
        if allocation.refresh.is_some_and(|at| at <= now) {
            allocation.refresh = None;
            self.request(now, TurnRequest::Refresh { lifetime: self.lifetime(), family: None });
        }
        while let Some(peer) = self.permissions.poll_expired(now) {
            self.events.push_back(Event::PermissionExpired { peer });
        }
        while let Some(peer) = self.channels.poll_expired(now) {
            self.events.push_back(Event::ChannelExpired { peer });
        }
        while let Some(peer) = self.permissions.poll_due(now) {
            if self.permissions.request(peer) {
                self.request(now, TurnRequest::CreatePermission { peer });
            }
        }
        while let Some((peer, (number, open))) = self
            .channels
            .poll_due(now)
            .and_then(|peer| Some((peer, self.channels.request(peer, now)?)))
        {
            if !open {
                self.request(now, TurnRequest::ChannelBind { number, peer });
            }
        }
    }

    /// Reports that the socket failed: the connection was reset, or a hard ICMP error says that the
    /// server is not reachable (RFC 8489 §6.2.1, §6.2.2). Over UDP an allocation survives that;
    /// over a stream it is lost.
    pub fn handle_transport_error(&mut self, now: Duration) {
        for request in self.exchange.abandon() {
            self.failed(now, &request, Failure::Transport);
        }
        if self.config.transport.is_stream() && matches!(self.state, State::Allocated(_)) {
            self.lose(Loss::Transport);
        }
    }

    /// Returns the next message to send to the server.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.exchange.poll_transmit()
    }

    /// Returns the next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) is due; `None` for no deadline.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let allocation = match &self.state {
            State::Allocated(allocation) => [
                Some(allocation.poll_timeout()),
                self.permissions.poll_timeout(),
                self.channels.poll_timeout(),
            ],
            _ => [None; 3],
        };
        allocation.into_iter().chain([self.exchange.poll_timeout()]).flatten().min()
    }

    pub(super) fn request(&mut self, now: Duration, request: TurnRequest) {
        if let Err(failure) = self.exchange.request(now, self.config.server, request) {
            self.failed(now, &request, failure);
        }
    }

    /// Drops the allocation and everything that belongs to it.
    pub(super) fn lose(&mut self, loss: Loss) {
        self.forget();
        self.state = State::Idle;
        self.events.push_back(Event::Lost(loss));
    }

    pub(super) fn fail(&mut self, request: &TurnRequest, failure: Failure) {
        let advice = Advice::on(request, &failure);
        self.events.push_back(Event::Failed {
            method: request.method(),
            peer: request.peer(),
            failure,
            advice,
        });
    }

    pub(super) fn forget(&mut self) {
        self.exchange.retain(|_| false);
        self.permissions = Permissions::default();
        self.channels = Channels::default();
    }

    /// The value of LIFETIME in requests, in seconds.
    fn lifetime(&self) -> Option<u32> {
        self.config.lifetime.map(|lifetime| u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX))
    }

    /// "The client MUST only include XOR-PEER-ADDRESS attributes with addresses of the same address
    /// family as that of the relayed transport address for the allocation" (RFC 8656 §10.1); of
    /// a dual one, of either.
    pub(super) fn check_family(&self, peer: IpAddr) -> Result<(), RequestError> {
        match self.allocated() {
            None => Err(RequestError::NoAllocation),
            Some(allocated) => allocated
                .relayed_of(AddressFamily::of(&peer))
                .map(|_| ())
                .ok_or(RequestError::Family),
        }
    }
}
