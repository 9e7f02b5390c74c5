//! One call from the first signal to the last: ICE, then the exchange of datagrams. No I/O, no
//! clock.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::candidate::LocalCandidate;
use super::exchange::{Exchange, Plan};
use super::ice::{Change, Ice};
use super::ice_credentials::IceCredentials;
use super::trace::PairAddresses;
use crate::rendezvous::Signal;

/// How long a direct pair must stay selected before data is sent, since a better one may follow.
const SETTLE_DIRECT: Duration = Duration::from_millis(500);
/// The same for a relayed pair, which a direct one should replace if possible.
const SETTLE_RELAYED: Duration = Duration::from_millis(1500);
/// Maximum wait for the rest of the candidates after a pair was selected.
const SETTLE_GATHERING: Duration = Duration::from_secs(3);
/// Maximum wait for the peer's `Ready` signal: a lost rendezvous must not stop the call.
const READY: Duration = Duration::from_secs(5);
/// Maximum wait until the selection settles: a peer that keeps nominating must not stop the call.
const SETTLE: Duration = Duration::from_secs(10);
/// How long to wait after the peer's last datagram, when our part is over.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a peer that keeps sending is answered, when our part is over. Then we leave the room,
/// and the peer ends its part.
const LONGEST_DRAIN: Duration = Duration::from_secs(60);

/// An action that the caller has to perform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// Send this datagram from a host socket, or through the relay with the address `pair.local`.
    Send(PairAddresses, Vec<u8>),
    /// Send this signal to the peer.
    Signal(Signal),
    /// Install a permission for this peer at every relay (RFC 8656 §9).
    Permit(IpAddr),
    /// Data uses this pair from now on. If its local end is a relay, bind a channel (RFC 8656 §12).
    Selected(PairAddresses),
    /// Report a problem; the call continues.
    Problem(String),
}

/// The phase of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No pair is selected, or the selection has not settled.
    Checking,
    /// The selection has settled here, but not yet at the peer, which could not echo.
    Settled,
    /// Numbered datagrams are being sent.
    Exchanging,
    /// Our datagrams are sent; the peer's are still answered.
    Draining,
    /// Both sides have finished.
    Over,
}

/// One agent's side of a call. Feed the `handle_…` methods, then drain
/// [`poll_output`](Self::poll_output), then read [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub(super) struct Call {
    ice: Ice,
    exchange: Exchange,
    phase: Phase,
    outputs: VecDeque<Output>,
    relayed_addresses: Vec<SocketAddr>,
    selected: Option<PairAddresses>,
    /// The times of the first and the last selection.
    selected_at: Option<(Instant, Instant)>,
    gathered: bool,
    peer_gathered: bool,
    /// The time at which the selection settled here.
    ready_at: Option<Instant>,
    peer_ready: bool,
    peer_sent: Option<u32>,
    peer_heard: Instant,
    /// Whether the peer has left the room.
    peer_is_gone: bool,
    /// The time at which our part was over.
    drained_since: Option<Instant>,
}

impl Call {
    /// Creates a call without a peer. The first output is the `Hello` signal.
    #[must_use]
    pub(super) fn new(
        now: Instant,
        ice: Ice,
        credentials: IceCredentials,
        plan: Plan,
        exchange_token: u64,
    ) -> Self {
        let hello = Signal::Hello {
            ufrag: credentials.ufrag,
            password: credentials.password,
            exchange: format!("{exchange_token:016x}"),
        };
        Self {
            ice,
            exchange: Exchange::new(plan, exchange_token),
            phase: Phase::Checking,
            outputs: VecDeque::from([Output::Signal(hello)]),
            relayed_addresses: Vec::new(),
            selected: None,
            selected_at: None,
            gathered: false,
            peer_gathered: false,
            ready_at: None,
            peer_ready: false,
            peer_sent: None,
            peer_heard: now,
            peer_is_gone: false,
            drained_since: None,
        }
    }

    /// Adds one of our candidates and trickles it (RFC 8838 §9).
    pub(super) fn add_local(&mut self, now: Instant, local: LocalCandidate) {
        if local.relayed_over.is_some() {
            self.relayed_addresses.push(local.address);
            for ip in self.ice.remotes().iter().map(|remote| remote.address.ip()) {
                self.outputs.push_back(Output::Permit(ip));
            }
        }
        if let Some(signal) = self.ice.add_local(local) {
            self.outputs.push_back(Output::Signal(signal));
        }
        self.advance(now);
    }

    /// Tells the peer that no further candidate follows (RFC 8838 §13).
    pub(super) fn end_gathering(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.gathered, true) {
            self.outputs.push_back(Output::Signal(Signal::EndOfCandidates {}));
        }
        self.advance(now);
    }

    /// Processes a signal of the peer. Its content is not trusted.
    pub(super) fn handle_signal(&mut self, now: Instant, signal: Signal) {
        self.peer_heard = now;
        if let Err(error) = signal.validate() {
            return self
                .outputs
                .push_back(Output::Problem(format!("the peer sent an invalid signal: {error}")));
        }
        match signal {
            // There are no ICE restarts, so the checks use the first credentials.
            Signal::Hello { .. } if self.exchange.knows_peer() => {}
            Signal::Hello { ufrag, password, exchange } => {
                self.ice.set_peer(&IceCredentials { ufrag, password });
                let token =
                    u64::from_str_radix(&exchange, 16).expect("validated: 16 hexadecimal digits");
                self.exchange.set_peer_token(token);
            }
            // "After an agent has received an end-of-candidates indication, it MUST ignore any
            // newly received candidates" (RFC 8838 §14).
            Signal::Candidate { .. } if self.peer_gathered => {}
            Signal::Candidate { candidate, relayed_over } => {
                match self.ice.add_remote(&candidate, relayed_over) {
                    Ok(ip) => self.outputs.push_back(Output::Permit(ip)),
                    Err(error) => self.outputs.push_back(Output::Problem(format!(
                        "invalid candidate of the peer: {error}"
                    ))),
                }
            }
            Signal::EndOfCandidates {} => self.peer_gathered = true,
            Signal::Ready {} => self.peer_ready = true,
            Signal::Done { sent } => self.peer_sent = Some(sent),
        }
        self.advance(now);
    }

    /// The peer left the room, so it does not answer any longer.
    pub(super) fn peer_left(&mut self, now: Instant) {
        self.peer_is_gone = true;
        match self.phase {
            Phase::Exchanging => self.exchange.stop(),
            Phase::Checking | Phase::Settled | Phase::Draining | Phase::Over => {
                self.phase = Phase::Over;
            }
        }
        self.advance(now);
    }

    /// Processes a datagram from a host socket or a relay.
    pub(super) fn handle_datagram(&mut self, now: Instant, pair: PairAddresses, datagram: &[u8]) {
        // STUN starts with two zero bits (RFC 8489 §5).
        if datagram.first().is_some_and(|first| *first < 4) {
            self.ice.handle_stun(now, pair, datagram);
        } else if let Some(echo) = self.exchange.handle_datagram(now, datagram) {
            self.peer_heard = now;
            // Echo over the pair that the datagram came on, if the peer consented to that (RFC 7675
            // §5.1). Otherwise use the selected pair, which exists, since data comes after our
            // `Ready`.
            let back = if self.ice.has_consent(pair.remote) { Some(pair) } else { self.selected };
            if let Some(back) = back {
                self.outputs.push_back(Output::Send(back, echo));
            }
        }
        self.advance(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.ice.handle_timeout(now);
        self.advance(now);
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Checking => self.settled_at(),
            Phase::Settled => self.ready_at.map(|at| at + READY),
            Phase::Exchanging => self.exchange.poll_timeout(),
            Phase::Draining => Some(self.drained_by()),
            Phase::Over => None,
        };
        [self.ice.poll_timeout(), phase].into_iter().flatten().min()
    }

    #[must_use]
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    #[must_use]
    pub(super) fn ice(&self) -> &Ice {
        &self.ice
    }

    /// The exchange of numbered datagrams.
    #[must_use]
    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The pair that data uses.
    #[must_use]
    pub(super) fn selected(&self) -> Option<PairAddresses> {
        self.selected
    }

    /// The time of the first selection.
    #[must_use]
    pub(super) fn first_selected_at(&self) -> Option<Instant> {
        self.selected_at.map(|(first, _)| first)
    }

    /// The number of datagrams that the peer says it sent, once it has finished.
    #[must_use]
    pub(super) fn peer_sent(&self) -> Option<u32> {
        self.peer_sent
    }

    /// Whether data on this pair passes a relay, as far as known.
    #[must_use]
    pub(super) fn is_relayed(&self, pair: PairAddresses) -> bool {
        let remote_relayed = self
            .ice
            .remotes()
            .iter()
            .any(|remote| remote.address == pair.remote && remote.relayed_over.is_some());
        remote_relayed || self.relayed_addresses.contains(&pair.local)
    }

    fn advance(&mut self, now: Instant) {
        while let Some((pair, datagram)) = self.ice.poll_transmit(now) {
            self.outputs.push_back(Output::Send(pair, datagram));
        }
        while let Some(change) = self.ice.poll_change() {
            match change {
                Change::Selected(pair) => {
                    self.selected = Some(pair);
                    self.selected_at =
                        Some((self.selected_at.map_or(now, |(first, _)| first), now));
                    self.outputs.push_back(Output::Selected(pair));
                }
                Change::Disconnected => {
                    self.outputs.push_back(Output::Problem(
                        "no pair of candidates works at the moment".into(),
                    ));
                }
            }
        }
        if self.phase == Phase::Checking && self.settled_at().is_some_and(|at| at <= now) {
            self.phase = Phase::Settled;
            self.ready_at = Some(now);
            self.outputs.push_back(Output::Signal(Signal::Ready {}));
        }
        if self.phase == Phase::Settled
            && (self.peer_ready || self.ready_at.is_some_and(|at| at + READY <= now))
        {
            self.phase = Phase::Exchanging;
            self.exchange.start(now);
        }
        if self.phase == Phase::Exchanging {
            self.send_due(now);
        }
        let is_answered = self.peer_sent.is_some() || self.peer_is_gone;
        if self.phase == Phase::Draining && (is_answered || now >= self.drained_by()) {
            self.phase = Phase::Over;
        }
    }

    fn send_due(&mut self, now: Instant) {
        let Some(pair) = self.selected else { return };
        while let Some(probe) = self.exchange.poll_probe(now) {
            self.outputs.push_back(Output::Send(pair, probe));
        }
        if self.exchange.is_over(now) {
            self.outputs.push_back(Output::Signal(Signal::Done { sent: self.exchange.sent() }));
            self.phase = Phase::Draining;
            self.peer_heard = now;
            self.drained_since = Some(now);
        }
    }

    fn drained_by(&self) -> Instant {
        let quiet = self.peer_heard + DRAIN;
        self.drained_since.map_or(quiet, |since| quiet.min(since + LONGEST_DRAIN))
    }

    fn settled_at(&self) -> Option<Instant> {
        let (first, last) = self.selected_at?;
        let wait = if self.is_relayed(self.selected?) { SETTLE_RELAYED } else { SETTLE_DIRECT };
        let settled = (last + wait).min(first + SETTLE);
        let gathering = !(self.gathered && self.peer_gathered);
        Some(if gathering { settled.max(first + SETTLE_GATHERING) } else { settled })
    }
}

#[cfg(test)]
mod tests;
