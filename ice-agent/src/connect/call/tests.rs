//! Two calls against each other in virtual time, over a network that is a queue.

use causeway_wire::Transport;

use super::*;
use crate::connect::candidate::CandidateType;

const PLAN: Plan = Plan { count: 10, interval: Duration::from_millis(20), size: 160 };
/// One way.
const DELAY: Duration = Duration::from_millis(10);

/// Two agents, the datagrams under way, and what each wanted to be done.
struct Pair {
    now: Instant,
    calls: [Call; 2],
    /// Arrival, receiver, pair as the receiver sees it, datagram.
    under_way: VecDeque<(Instant, usize, PairAddresses, Vec<u8>)>,
    signals: [Vec<Signal>; 2],
    permitted: [Vec<IpAddr>; 2],
    selected: [Vec<PairAddresses>; 2],
    problems: [Vec<String>; 2],
    /// Whether the network carries a datagram from one address to another.
    carries: fn(PairAddresses) -> bool,
    /// Which signals the rendezvous loses.
    withheld: fn(&Signal) -> bool,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let call = |side: u8| {
            let credentials = IceCredentials::from_random([side; 32]);
            let ice = Ice::new(now, &credentials, side == 0, u64::from(side));
            Call::new(now, ice, credentials, PLAN, u64::from(side) + 1)
        };
        Self {
            now,
            calls: [call(0), call(1)],
            under_way: VecDeque::new(),
            signals: Default::default(),
            permitted: Default::default(),
            selected: Default::default(),
            problems: Default::default(),
            carries: |_| true,
            withheld: |_| false,
        }
    }

    /// Both offer a host candidate and end their gathering.
    fn with_hosts() -> Self {
        let mut pair = Self::new();
        for side in 0..2 {
            pair.offer(side, host(side));
            pair.calls[side].end_gathering(pair.now);
        }
        pair
    }

    fn offer(&mut self, side: usize, candidate: LocalCandidate) {
        self.calls[side].add_local(self.now, candidate);
        self.carry_out(side);
    }

    fn carry_out(&mut self, side: usize) {
        while let Some(output) = self.calls[side].poll_output() {
            match output {
                Output::Send(pair, datagram) if (self.carries)(pair) => {
                    let seen = PairAddresses { local: pair.remote, remote: pair.local };
                    self.under_way.push_back((self.now + DELAY, 1 - side, seen, datagram));
                }
                Output::Send(..) => {}
                Output::Signal(signal) => {
                    self.signals[side].push(signal.clone());
                    if !(self.withheld)(&signal) {
                        self.calls[1 - side].handle_signal(self.now, signal);
                    }
                }
                Output::Permit(ip) => self.permitted[side].push(ip),
                Output::Selected(pair) => self.selected[side].push(pair),
                Output::Problem(problem) => self.problems[side].push(problem),
            }
        }
    }

    /// Runs for so long, or until both are over.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end && !self.calls.iter().all(|call| call.phase() == Phase::Over) {
            self.carry_out(0);
            self.carry_out(1);
            let arrival = self.under_way.front().map(|(at, ..)| *at);
            let timers = [self.calls[0].poll_timeout(), self.calls[1].poll_timeout(), arrival];
            self.now = timers.into_iter().flatten().min().unwrap_or(end).clamp(self.now, end);
            while self.under_way.front().is_some_and(|(at, ..)| *at <= self.now) {
                let (_, side, pair, datagram) = self.under_way.pop_front().unwrap();
                self.calls[side].handle_datagram(self.now, pair, &datagram);
            }
            for call in &mut self.calls {
                call.handle_timeout(self.now);
            }
        }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn host(side: usize) -> LocalCandidate {
    let address = address(["192.0.2.1:1000", "192.0.2.2:2000"][side]);
    LocalCandidate {
        kind: CandidateType::Host,
        address,
        base: address,
        server: None,
        relayed_over: None,
        local_preference: 65_534,
    }
}

fn relay(side: usize) -> LocalCandidate {
    let address = address(["198.51.100.9:50001", "198.51.100.9:50002"][side]);
    let relayed_over = Some(Transport::Udp);
    LocalCandidate {
        kind: CandidateType::Relay,
        address,
        base: address,
        server: None,
        relayed_over,
        local_preference: 32_766,
    }
}

#[test]
fn two_agents_connect_exchange_and_end_together() {
    let mut pair = Pair::with_hosts();
    pair.run(Duration::from_secs(30));
    for call in &pair.calls {
        assert_eq!((call.phase(), call.peer_sent()), (Phase::Over, Some(10)));
        assert_eq!(
            (
                call.exchange().sent(),
                call.exchange().echoed(),
                call.exchange().received_from_peer()
            ),
            (10, 10, 10)
        );
        assert_eq!(call.exchange().round_trips().figures().unwrap().p50, 20.0);
    }
    assert!(matches!(pair.signals[0][0], Signal::Hello { .. }), "{:?}", pair.signals[0]);
    assert_eq!(pair.signals[0].last(), Some(&Signal::Done { sent: 10 }));
    assert_eq!(pair.permitted[0], [host(1).address.ip()]);
}

#[test]
fn data_waits_for_a_direct_pair_where_a_relay_was_faster() {
    let mut pair = Pair::new();
    for side in 0..2 {
        pair.offer(side, relay(side));
    }
    pair.run(Duration::from_secs(1));
    assert!(pair.calls[0].is_relayed(pair.calls[0].selected().unwrap()));
    assert_eq!(pair.calls[0].phase(), Phase::Checking, "candidates may still come");
    for side in 0..2 {
        pair.offer(side, host(side));
        pair.calls[side].end_gathering(pair.now);
    }
    pair.run(Duration::from_secs(30));
    for (side, call) in pair.calls.iter().enumerate() {
        assert_eq!(
            call.selected(),
            Some(PairAddresses { local: host(side).address, remote: host(1 - side).address })
        );
        assert_eq!(
            call.exchange().echoed(),
            10,
            "nothing was lost on the way from one pair to the other"
        );
    }
}

#[test]
fn a_relay_carries_the_call_where_nothing_else_gets_through() {
    let mut pair = Pair::new();
    pair.carries = |pair| [pair.local, pair.remote].contains(&address("198.51.100.9:50001"));
    for candidate in [host(0), relay(0)] {
        pair.offer(0, candidate);
    }
    pair.offer(1, host(1));
    for side in 0..2 {
        pair.calls[side].end_gathering(pair.now);
    }
    pair.run(Duration::from_secs(30));
    for call in &pair.calls {
        assert!(call.is_relayed(call.selected().unwrap()));
        assert_eq!(call.exchange().echoed(), 10);
    }
    assert!(
        pair.permitted[0].contains(&host(1).address.ip()),
        "RFC 8656 §9: no datagram of the peer passes without"
    );
}

#[test]
fn data_waits_until_the_peer_can_echo_but_not_for_a_rendezvous_that_is_lost() {
    let mut pair = Pair::with_hosts();
    pair.withheld = |signal| *signal == Signal::Ready {};
    pair.run(Duration::from_secs(4));
    assert_eq!([pair.calls[0].phase(), pair.calls[1].phase()], [Phase::Settled; 2]);
    assert_eq!(pair.calls[0].exchange().sent(), 0);
    pair.calls[0].handle_signal(pair.now, Signal::Ready {});
    assert_eq!([pair.calls[0].phase(), pair.calls[1].phase()], [Phase::Exchanging, Phase::Settled]);
    pair.run(Duration::from_secs(30));
    assert!(pair.calls.iter().all(|call| call.exchange().echoed() == 10));
}

#[test]
fn a_nomination_is_checked_at_once() {
    let mut pair = Pair::with_hosts();
    pair.run(Duration::from_millis(300));
    assert!(
        pair.calls.iter().all(|call| call.selected().is_some()),
        "the engine alone would wait for an RTO"
    );
}

#[test]
fn rfc8838_14_candidates_after_the_end_are_ignored() {
    let mut pair = Pair::with_hosts();
    pair.run(Duration::from_millis(1));
    let late = Signal::Candidate {
        candidate: "candidate:1 1 udp 9 203.0.113.5 9 typ host".into(),
        relayed_over: None,
    };
    pair.calls[0].handle_signal(pair.now, late);
    assert_eq!(pair.calls[0].ice().remotes().len(), 1);
}

#[test]
fn what_a_hostile_peer_signals_changes_nothing_and_is_told() {
    let mut pair = Pair::new();
    pair.offer(1, host(1));
    let bad = [
        Signal::Candidate { candidate: "candidate:\u{1b}[31m".into(), relayed_over: None },
        Signal::Candidate {
            candidate: "candidate:1 1 udp 9 0.0.0.0 9 typ host".into(),
            relayed_over: None,
        },
        Signal::Hello { ufrag: "x".into(), password: String::new(), exchange: String::new() },
    ];
    for signal in bad {
        pair.calls[0].handle_signal(pair.now, signal);
    }
    pair.carry_out(0);
    assert_eq!(pair.problems[0].len(), 3);
    assert_eq!(pair.calls[0].ice().remotes().len(), 1, "the good one from before");

    let other =
        Signal::Hello { ufrag: "aaaa".into(), password: "b".repeat(22), exchange: "0".repeat(16) };
    pair.calls[0].handle_signal(pair.now, other);
    for side in 0..2 {
        pair.calls[side].end_gathering(pair.now);
    }
    pair.offer(0, host(0));
    pair.run(Duration::from_secs(30));
    assert_eq!(pair.calls[0].exchange().echoed(), 10, "the first credentials stay");
}

#[test]
fn rfc7675_5_1_nothing_is_echoed_to_an_address_that_did_not_consent() {
    let mut pair = Pair::with_hosts();
    pair.carries = |_| false;
    pair.run(Duration::from_millis(200));
    let mut stranger = Exchange::new(PLAN, 9);
    stranger.set_peer_token(1);
    stranger.start(pair.now);
    let probe = stranger.poll_probe(pair.now).unwrap();
    let from = PairAddresses { local: host(0).address, remote: address("203.0.113.66:6666") };
    pair.calls[0].handle_datagram(pair.now, from, &probe);
    while let Some(output) = pair.calls[0].poll_output() {
        assert!(!matches!(&output, Output::Send(to, _) if to.remote == from.remote), "{output:?}");
    }
}

#[test]
fn a_peer_that_vanishes_is_not_waited_for_without_end() {
    let mut pair = Pair::with_hosts();
    while pair.calls[0].phase() != Phase::Exchanging {
        pair.run(Duration::from_millis(10));
    }
    pair.carries = |_| false;
    pair.calls[0].handle_timeout(pair.now);
    let mut waited = Duration::ZERO;
    while pair.calls[0].phase() != Phase::Over {
        waited += Duration::from_millis(50);
        assert!(waited < Duration::from_secs(20), "still {:?}", pair.calls[0].phase());
        pair.calls[0].handle_timeout(pair.now + waited);
        while pair.calls[0].poll_output().is_some() {}
    }
    assert_eq!(pair.calls[0].exchange().sent(), 10);
    assert!(pair.calls[0].exchange().echoed() < 10);
}

#[test]
fn a_peer_that_leaves_before_a_pair_is_selected_ends_the_call() {
    let mut pair = Pair::new();
    pair.calls[0].peer_left(pair.now);
    assert_eq!(
        (pair.calls[0].phase(), pair.calls[0].poll_timeout().is_some()),
        (Phase::Over, true)
    );
}

#[test]
fn a_peer_that_goes_on_sending_is_not_answered_without_end() {
    let mut pair = Pair::with_hosts();
    pair.withheld = |signal| matches!(signal, Signal::Done { .. });
    while pair.calls[0].phase() != Phase::Draining {
        pair.run(Duration::from_millis(10));
    }
    let path = pair.calls[0].selected().unwrap();
    let mut sender = Exchange::new(Plan { count: 10_000, ..PLAN }, 9);
    sender.set_peer_token(1);
    sender.start(pair.now);
    let mut waited = Duration::ZERO;
    while pair.calls[0].phase() != Phase::Over {
        waited += Duration::from_secs(1);
        assert!(waited <= LONGEST_DRAIN, "still {:?} after {waited:?}", pair.calls[0].phase());
        let probe = sender.poll_probe(pair.now + waited).unwrap();
        pair.calls[0].handle_datagram(pair.now + waited, path, &probe);
        while pair.calls[0].poll_output().is_some() {}
    }
    assert!(waited > DRAIN, "it was answered for a while");
}

#[test]
fn a_peer_that_leaves_in_the_middle_ends_the_exchange_without_loss() {
    let mut pair = Pair::with_hosts();
    while pair.calls[0].exchange().echoed() < 3 {
        pair.run(Duration::from_millis(5));
    }
    pair.calls[0].peer_left(pair.now);
    pair.carry_out(0);
    let exchange = pair.calls[0].exchange();
    assert!(
        exchange.sent() == exchange.echoed() && exchange.sent() < 10,
        "{} of {}",
        exchange.echoed(),
        exchange.sent()
    );
    assert_eq!(pair.calls[0].phase(), Phase::Over);
}
