use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use causeway_wire::attribute::AddressFamily;
use rand::rngs::StdRng;

use super::allocation::Allocation;
use super::ask::{AllocateAsk, TurnAsk};
use super::channel::Channels;
use super::config::TurnConfig;
use super::event::{Advice, Allocated, Event, Loss};
use super::permission::Permissions;
use crate::exchange::{Ask, Exchange, Manner};
use crate::failure::Failure;
use crate::security::Security;
use crate::transmit::Transmit;

/// One allocation at one TURN server, from Allocate to its deletion, kept alive with its
/// permissions and channels (RFC 8656).
///
/// **Inputs:** [`allocate`](Self::allocate) first; then [`permit`](Self::permit),
/// [`bind`](Self::bind), [`release`](Self::release), [`close`](Self::close);
/// [`handle_input`](Self::handle_input) for every datagram that came in, or over a stream for every
/// frame that [`StreamBuffer`](crate::StreamBuffer) gave out;
/// [`handle_timeout`](Self::handle_timeout) when the deadline has passed;
/// [`handle_transport_error`](Self::handle_transport_error) when the socket fails. Data to peers is
/// [`wrap`](Self::wrap)ped in the caller's buffer and sent by the caller.
///
/// **After each input:** send all of [`poll_transmit`](Self::poll_transmit) to the server, take all
/// of [`poll_event`](Self::poll_event), then ask [`poll_timeout`](Self::poll_timeout) anew. `now`
/// never goes back.
///
/// A client is good for one 5-tuple. After [`Event::Lost`], or a failure that asks for another
/// local address or server, make another.
#[derive(Debug)]
pub struct TurnClient {
    pub(super) config: TurnConfig,
    pub(super) exchange: Exchange<TurnAsk>,
    pub(super) state: State,
    pub(super) permissions: Permissions,
    pub(super) channels: Channels,
    pub(super) events: VecDeque<Event>,
}

/// Where the client stands.
#[derive(Debug)]
pub(super) enum State {
    /// No allocation, none asked for.
    Idle,
    /// Allocate is open; whether the client was closed meanwhile.
    Allocating { closing: bool },
    /// There is one.
    Allocated(Allocation),
    /// The Refresh that deletes it is open; whether [`Event::Closed`] shall follow.
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
    /// The configuration asks for what may not be asked for together (RFC 8656 §7.1).
    #[error("what is asked for may not be asked for together")]
    Contradiction,
    /// All channels are bound, or not yet free again (RFC 8656 §12).
    #[error("no channel number is free")]
    NoChannel,
}

impl TurnClient {
    /// A client that has not sent anything. `rng` is to be seeded by the operating system:
    /// transaction ids must not be guessed (H26).
    #[must_use]
    pub fn new(config: TurnConfig, rng: StdRng) -> Self {
        let manner = Manner {
            transport: config.transport,
            timing: config.timing,
            software: config.software.clone(),
            fingerprint: config.fingerprint,
            credentials: config.credentials.clone(),
        };
        Self {
            config,
            exchange: Exchange::new(manner, rng),
            state: State::Idle,
            permissions: Permissions::default(),
            channels: Channels::default(),
            events: VecDeque::new(),
        }
    }

    /// Asks for the allocation: [`Event::Allocated`] or [`Event::Failed`] follows (RFC 8656 §7.1).
    ///
    /// # Errors
    /// [`RequestError::Allocated`] if there is one, or was asked for;
    /// [`RequestError::Contradiction`] if the configuration forbids itself.
    pub fn allocate(&mut self, now: Duration) -> Result<(), RequestError> {
        if !matches!(self.state, State::Idle) {
            return Err(RequestError::Allocated);
        }
        if self.config.is_contradictory() {
            return Err(RequestError::Contradiction);
        }
        self.state = State::Allocating { closing: false };
        let TurnConfig { family, both_families, port, dont_fragment, .. } = self.config;
        let ask =
            AllocateAsk { lifetime: self.lifetime(), family, both_families, port, dont_fragment };
        self.request(now, TurnAsk::Allocate(ask));
        Ok(())
    }

    /// Lets a peer in, from any of its ports, until the client is closed (RFC 8656 §10.1).
    ///
    /// # Errors
    /// [`RequestError`] without an allocation, or for a peer of another family.
    pub fn permit(&mut self, now: Duration, peer: IpAddr) -> Result<(), RequestError> {
        self.check_family(peer)?;
        if self.permissions.ask(peer) {
            self.request(now, TurnAsk::CreatePermission { peer });
        }
        Ok(())
    }

    /// Binds a channel to a peer and lets it in, until [`release`](Self::release) or the end (RFC
    /// 8656 §12.1).
    ///
    /// # Errors
    /// [`RequestError`] without an allocation, for a peer of another family, or without a free
    /// channel.
    pub fn bind(&mut self, now: Duration, peer: SocketAddr) -> Result<(), RequestError> {
        self.check_family(peer.ip())?;
        let (number, open) = self.channels.ask(peer, now).ok_or(RequestError::NoChannel)?;
        if !open {
            self.request(now, TurnAsk::ChannelBind { number, peer });
        }
        Ok(())
    }

    /// Lets the channel of a peer run out; data goes in Send indications then.
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
        self.request(now, TurnAsk::Refresh { lifetime: Some(0), family: Some(family) });
        Ok(())
    }

    /// Deletes the allocation: [`Event::Closed`] follows when the server has confirmed it, or
    /// cannot (RFC 8656 §8.1).
    pub fn close(&mut self, now: Duration) {
        match self.state {
            State::Deleting { .. } => self.state = State::Deleting { announced: true },
            State::Idle => self.events.push_back(Event::Closed),
            // What the server may be about to allocate is to be deleted too, and cannot before it
            // has answered.
            State::Allocating { .. } => self.state = State::Allocating { closing: true },
            State::Allocated(_) => {
                self.forget();
                self.state = State::Deleting { announced: true };
                self.request(now, TurnAsk::DELETE);
            }
        }
    }

    /// What the server allocated, while it lasts.
    #[must_use]
    pub fn allocated(&self) -> Option<Allocated> {
        match &self.state {
            State::Allocated(allocation) => Some(allocation.allocated),
            _ => None,
        }
    }

    /// How requests are authenticated; `None` while the server has not asked for it.
    #[must_use]
    pub fn security(&self) -> Option<Security> {
        self.exchange.security()
    }

    /// Repeats requests, refreshes what is due, gives up what is over.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((ask, failure)) = self.exchange.handle_timeout(now) {
            self.failed(now, &ask, failure);
        }
        let State::Allocated(allocation) = &mut self.state else { return };
        if allocation.expires <= now {
            return self.lose(Loss::Expired);
        }
        if allocation.refresh.is_some_and(|at| at <= now) {
            allocation.refresh = None;
            self.request(now, TurnAsk::Refresh { lifetime: self.lifetime(), family: None });
        }
        while let Some(peer) = self.permissions.poll_expired(now) {
            self.events.push_back(Event::PermissionExpired { peer });
        }
        while let Some(peer) = self.channels.poll_expired(now) {
            self.events.push_back(Event::ChannelExpired { peer });
        }
        while let Some(peer) = self.permissions.poll_due(now) {
            if self.permissions.ask(peer) {
                self.request(now, TurnAsk::CreatePermission { peer });
            }
        }
        while let Some((peer, (number, open))) =
            self.channels.poll_due(now).and_then(|peer| Some((peer, self.channels.ask(peer, now)?)))
        {
            if !open {
                self.request(now, TurnAsk::ChannelBind { number, peer });
            }
        }
    }

    /// The socket failed: the connection was reset, or a hard ICMP error says that the server is
    /// not there (RFC 8489 §6.2.1, §6.2.2). Over UDP an allocation outlives that; over a stream
    /// it is gone.
    pub fn handle_transport_error(&mut self, now: Duration) {
        for ask in self.exchange.abandon() {
            self.failed(now, &ask, Failure::Transport);
        }
        if self.config.transport.is_stream() && matches!(self.state, State::Allocated(_)) {
            self.lose(Loss::Transport);
        }
    }

    /// The next message for the server.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.exchange.poll_transmit()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
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

    pub(super) fn request(&mut self, now: Duration, ask: TurnAsk) {
        if let Err(failure) = self.exchange.request(now, self.config.server, ask) {
            self.failed(now, &ask, failure);
        }
    }

    /// The allocation is gone, and all with it.
    pub(super) fn lose(&mut self, loss: Loss) {
        self.forget();
        self.state = State::Idle;
        self.events.push_back(Event::Lost(loss));
    }

    pub(super) fn fail(&mut self, ask: &TurnAsk, failure: Failure) {
        let advice = Advice::on(ask, &failure);
        self.events.push_back(Event::Failed {
            method: ask.method(),
            peer: ask.peer(),
            failure,
            advice,
        });
    }

    pub(super) fn forget(&mut self) {
        self.exchange.retain(|_| false);
        self.permissions = Permissions::default();
        self.channels = Channels::default();
    }

    /// LIFETIME to ask for.
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
