//! The ICE engine, with a trace of its checks and a list of its candidates. No I/O, no clock.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use causeway_wire::Transport;
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceConnectionState, Protocol};

use super::candidate::{LocalCandidate, RemoteCandidate};
use super::ice_credentials::IceCredentials;
use super::trace::{PairAddresses, Trace};
use crate::rendezvous::Signal;

/// "Agents MUST NOT use an RTO value smaller than 500 ms" (RFC 8445 §14.3); the engine's own is
/// half of it.
const RTO: Duration = Duration::from_millis(500);
/// Maximum number of candidates that are accepted from a peer.
const MAX_REMOTE: usize = 64;

/// A change that the engine reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Data uses this pair from now on.
    Selected(PairAddresses),
    /// No pair works at the moment.
    Disconnected,
}

/// Why a trickled candidate is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadCandidate {
    /// Not a valid candidate attribute.
    #[error("{0}")]
    Syntax(String),
    /// An address that cannot be a destination: unspecified, multicast, broadcast, or port 0.
    #[error("{0} cannot be a destination")]
    Address(SocketAddr),
    /// The peer has sent [`MAX_REMOTE`] candidates already.
    #[error("the peer sent more than the maximum of {MAX_REMOTE} candidates")]
    TooMany,
}

/// One agent of a call: feed [`handle_stun`](Self::handle_stun) and
/// [`handle_timeout`](Self::handle_timeout), then drain [`poll_transmit`](Self::poll_transmit) and
/// [`poll_change`](Self::poll_change), then read [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub(super) struct Ice {
    engine: IceAgent,
    trace: Trace,
    locals: Vec<(LocalCandidate, u32)>,
    remotes: Vec<RemoteCandidate>,
    /// The local preference of the candidate that is being added, for the engine's callback.
    next_preference: Arc<AtomicU32>,
    /// Which of two RTOs the engine has; see [`Ice::forget_schedule`].
    odd_rto: bool,
    changes: VecDeque<Change>,
}

impl Ice {
    /// Creates an agent without candidates.
    // Deviation: RFC 8445 §8.1.1: the engine nominates the best valid pair at once and again when a
    // better one becomes valid; both agents use the last one, and the exchange waits until it
    // settled.
    // Deviation: RFC 8445 §14.3: the engine's RTO starts at 500 ms whatever the number of pairs.
    // Deviation: RFC 8445 §7.3.1.4: the engine answers a check of the peer with one of its own only
    // when its own is due next, at most an RTO later, unless the peer's nominates the pair.
    // Deviation: RFC 8445 §6.1.2.6: the engine has no Frozen state, since there is one stream with
    // one component.
    // Deviation: RFC 7675 §5.1: the engine repeats the check of a valid pair every 3 s, not
    // randomised, for consent and keepalive alike, and gives up after nine of them without an
    // answer.
    // Deviation: RFC 8489 §5: the engine draws the transaction ids of its checks from a generator
    // that is not cryptographic; the checks carry MESSAGE-INTEGRITY under a password that is drawn
    // by us.
    #[must_use]
    pub(super) fn new(
        now: Instant,
        credentials: &IceCredentials,
        controlling: bool,
        tie_breaker: u64,
    ) -> Self {
        let mut engine = IceAgent::new(credentials.to_engine());
        engine.set_controlling(controlling);
        engine.set_initial_stun_rto(RTO);
        engine.set_control_tie_breaker(tie_breaker);
        let next_preference = Arc::new(AtomicU32::new(0));
        let answer = Arc::clone(&next_preference);
        engine.set_local_preference(move |_: &Candidate, _: usize| answer.load(Ordering::Relaxed));
        engine.handle_timeout(now);
        Self {
            engine,
            trace: Trace::default(),
            locals: Vec::new(),
            remotes: Vec::new(),
            next_preference,
            odd_rto: false,
            changes: VecDeque::new(),
        }
    }

    /// Sets the peer's credentials, with which checks begin.
    pub(super) fn set_peer(&mut self, credentials: &IceCredentials) {
        self.engine.set_remote_credentials(credentials.to_engine());
    }

    /// Adds one of our candidates and returns the signal for the peer; `None` if the candidate is
    /// redundant or impossible.
    pub(super) fn add_local(&mut self, local: LocalCandidate) -> Option<Signal> {
        self.next_preference.store(local.local_preference.into(), Ordering::Relaxed);
        let candidate = self.engine.add_local_candidate(local.to_engine()?)?;
        let signal = Signal::Candidate {
            candidate: candidate.to_sdp_string(),
            relayed_over: local.relayed_over,
        };
        let priority = candidate.prio();
        self.locals.push((local, priority));
        Some(signal)
    }

    /// Adds a trickled candidate of the peer and returns the address for which relays need a
    /// permission.
    ///
    /// # Errors
    /// [`BadCandidate`]; the call continues without the candidate.
    pub(super) fn add_remote(
        &mut self,
        text: &str,
        relayed_over: Option<Transport>,
    ) -> Result<IpAddr, BadCandidate> {
        let candidate = Candidate::from_sdp_string(text)
            .map_err(|error| BadCandidate::Syntax(error.to_string()))?;
        let address = candidate.addr();
        let nowhere = match address.ip() {
            IpAddr::V4(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
            IpAddr::V6(ip) => {
                ip.is_unspecified() || ip.is_multicast() || ip.to_ipv4_mapped().is_some()
            }
        };
        if nowhere || address.port() == 0 {
            return Err(BadCandidate::Address(address));
        }
        if self.remotes.len() >= MAX_REMOTE {
            return Err(BadCandidate::TooMany);
        }
        let kind = candidate.kind().into();
        self.remotes.push(RemoteCandidate {
            kind,
            address,
            relayed_over,
            priority: candidate.prio(),
        });
        self.engine.add_remote_candidate(candidate);
        Ok(address.ip())
    }

    /// Processes a datagram that starts like STUN. If it is not valid or not authentic, it is
    /// ignored (RFC 8445 §7.3).
    pub(super) fn handle_stun(&mut self, now: Instant, pair: PairAddresses, datagram: &[u8]) {
        let Ok(message) = StunMessage::parse(datagram) else { return };
        if !self.engine.accepts_message(&message) {
            return;
        }
        self.trace.received(now, pair, &message);
        let nominates = message.use_candidate();
        let packet = StunPacket {
            proto: Protocol::Udp,
            source: pair.remote,
            destination: pair.local,
            message,
        };
        self.engine.handle_packet(now, packet);
        if nominates {
            self.forget_schedule();
        }
        self.note_changes();
    }

    /// Makes the engine check the nominated pair at once. It keeps the schedule of each pair even
    /// after a nomination, but a changed RTO resets it, so the RTO alternates between two values.
    fn forget_schedule(&mut self) {
        self.odd_rto = !self.odd_rto;
        self.engine.set_initial_stun_rto(if self.odd_rto {
            RTO + Duration::from_millis(1)
        } else {
            RTO
        });
    }

    /// Advances the engine, but only if it is due, since its timeouts implement the pacing (RFC
    /// 8445 §14.2).
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|due| due <= now) {
            self.engine.handle_timeout(now);
            self.note_changes();
        }
    }

    /// The next check or answer to send.
    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<(PairAddresses, Vec<u8>)> {
        let transmit = self.engine.poll_transmit()?;
        let pair = PairAddresses { local: transmit.source, remote: transmit.destination };
        let datagram = transmit.contents.to_vec();
        if let Ok(message) = StunMessage::parse(&datagram) {
            self.trace.sent(now, pair, &message);
        }
        Some((pair, datagram))
    }

    pub(super) fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        self.engine.poll_timeout()
    }

    /// Whether the peer answered a check to this address, so that data may be sent there.
    #[must_use]
    pub(super) fn has_consent(&self, remote: SocketAddr) -> bool {
        self.engine.has_viable_remote_candidate(remote)
    }

    /// Whether this agent is controlling. Role conflicts (RFC 8445 §7.3.1.1) may change the role
    /// that the rendezvous assigned.
    #[must_use]
    pub(super) fn is_controlling(&self) -> bool {
        self.engine.controlling()
    }

    /// The checks so far.
    #[must_use]
    pub(super) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Our candidates with their priorities.
    #[must_use]
    pub(super) fn locals(&self) -> &[(LocalCandidate, u32)] {
        &self.locals
    }

    #[must_use]
    pub(super) fn remotes(&self) -> &[RemoteCandidate] {
        &self.remotes
    }

    fn note_changes(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                IceAgentEvent::NominatedSend { source, destination, .. } => {
                    self.changes.push_back(Change::Selected(PairAddresses {
                        local: source,
                        remote: destination,
                    }));
                }
                IceAgentEvent::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                    self.changes.push_back(Change::Disconnected);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::candidate::CandidateType;
    use super::*;

    fn host(address: &str) -> LocalCandidate {
        let address = address.parse().unwrap();
        LocalCandidate {
            kind: CandidateType::Host,
            address,
            base: address,
            server: None,
            relayed_over: None,
            local_preference: 65_534,
        }
    }

    fn text(signal: Option<Signal>) -> String {
        match signal {
            Some(Signal::Candidate { candidate, .. }) => candidate,
            other => panic!("{other:?}"),
        }
    }

    /// Two agents whose datagrams reach each other; both claim the role `controlling`.
    fn run(controlling: [bool; 2]) -> ([Ice; 2], Vec<Vec<PairAddresses>>) {
        let mut now = Instant::now();
        let credentials =
            [IceCredentials::from_random([1; 32]), IceCredentials::from_random([2; 32])];
        let mut agents = [
            Ice::new(now, &credentials[0], controlling[0], 7),
            Ice::new(now, &credentials[1], controlling[1], 5),
        ];
        let addresses = ["127.0.0.1:1000", "127.0.0.1:2000"];
        for side in 0..2 {
            agents[side].set_peer(&credentials[1 - side]);
            let candidate = text(agents[side].add_local(host(addresses[side])));
            agents[1 - side].add_remote(&candidate, None).unwrap();
        }
        let mut selected = vec![Vec::new(), Vec::new()];
        for _ in 0..60 {
            now += Duration::from_millis(50);
            for side in 0..2 {
                agents[side].handle_timeout(now);
                while let Some((pair, datagram)) = agents[side].poll_transmit(now) {
                    let back = PairAddresses { local: pair.remote, remote: pair.local };
                    agents[1 - side].handle_stun(now, back, &datagram);
                }
                while let Some(Change::Selected(pair)) = agents[side].poll_change() {
                    selected[side].push(pair);
                }
            }
        }
        (agents, selected)
    }

    #[test]
    fn two_agents_select_the_same_pair() {
        let (agents, selected) = run([true, false]);
        assert_eq!(selected[0].len(), 1);
        assert_eq!(
            (selected[0][0].local, selected[0][0].remote),
            (selected[1][0].remote, selected[1][0].local)
        );
        assert!(agents[0].has_consent(selected[0][0].remote));
        assert!(agents[0].trace().check(selected[0][0]).unwrap().nominated);
    }

    #[test]
    fn rfc8445_7_3_1_1_a_role_conflict_is_resolved_by_the_tie_breaker() {
        for roles in [[true, true], [false, false]] {
            let (agents, selected) = run(roles);
            assert_ne!(agents[0].is_controlling(), agents[1].is_controlling());
            assert!(!selected[0].is_empty() && !selected[1].is_empty());
        }
    }

    #[test]
    fn candidates_that_lead_nowhere_are_refused() {
        let mut ice = Ice::new(Instant::now(), &IceCredentials::from_random([0; 32]), true, 1);
        let mut add = |address: &str| {
            ice.add_remote(&format!("candidate:1 1 udp 99 {address} typ host"), None)
        };
        for bad in [
            "0.0.0.0 1",
            "255.255.255.255 9",
            "224.0.0.1 9",
            ":: 9",
            "ff02::1 9",
            "::ffff:10.0.0.1 9",
            "192.0.2.1 0",
        ] {
            assert!(matches!(add(bad), Err(BadCandidate::Address(_))), "{bad}");
        }
        assert!(matches!(add("host.local 9"), Err(BadCandidate::Syntax(_))));
        for port in 1..=64 {
            add(&format!("192.0.2.1 {port}")).unwrap();
        }
        assert_eq!(add("192.0.2.1 99"), Err(BadCandidate::TooMany));
    }

    #[test]
    fn junk_is_ignored() {
        let mut ice = Ice::new(Instant::now(), &IceCredentials::from_random([0; 32]), true, 1);
        let pair = PairAddresses {
            local: "127.0.0.1:1".parse().unwrap(),
            remote: "127.0.0.1:2".parse().unwrap(),
        };
        for junk in [&b""[..], &[0], &[0; 20], &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], &[1; 1500]] {
            ice.handle_stun(Instant::now(), pair, junk);
        }
        assert_eq!(ice.trace().checks(true).count(), 0);
    }
}
