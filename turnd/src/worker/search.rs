//! The search for a relayed port that no other program holds; it may take several turns.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::Credential;
use causeway_net::{Io, Sample, SocketKey, UdpSocket};
use causeway_relay::{BindFailure, BoundAddress, Completion, RelayId};

use super::Worker;
use crate::capacity::Refused;
use crate::ports::pool::{PortPool, PortPools};
use crate::ports::reservations::Token;
use crate::ports::sockets::Socket;

/// Maximum number of ports that one turn tries beyond the first of each Allocate: a failed try
/// takes some microseconds.
const TRIES: usize = 16;
/// How long a port that another program holds is set aside: the next Allocate does not try it
/// again, and it is not lost for good.
const SET_ASIDE: Duration = Duration::from_secs(5);
/// Maximum number of ports that one turn gives back to their pools.
const RETURNS: usize = 1024;

/// The ports among which to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    /// All ports.
    Any,
    /// Even ports (RFC 8656 §18.7).
    Even,
    /// Even ports whose next port is free, too, and gets reserved (RFC 8656 §7.2).
    Pairs,
}

/// The search for one relayed address.
pub(super) struct Search {
    relay: RelayId,
    ipv4: bool,
    among: Among,
    /// The user: a reserved port is for the same user.
    credential: Arc<Credential>,
    /// The pool of the family to begin with.
    start: u32,
    /// Number of pools that had no port.
    pool: usize,
    /// Why the last of them had none.
    refused: Refused,
}

/// The searches that continue in the next turns of a worker, and the ports that it has set aside.
#[derive(Default)]
pub(crate) struct Searches {
    waiting: VecDeque<Search>,
    /// Number of failed tries in this turn.
    tries: usize,
    /// Ports that other programs hold, and when to try each again. Bounded by the number of ports.
    aside: VecDeque<(Duration, BoundAddress)>,
    /// The address that failed to bind last, and the error.
    pub(super) failed: Option<(BoundAddress, io::Error)>,
}

/// The result of one try.
enum Tried {
    Bound(u16, SocketKey, Option<Token>),
    /// Another program holds the port.
    Held,
    /// No other port of this pool can succeed.
    Exhausted(Refused),
}

impl Search {
    /// A search that begins with the pool number `start` of its family.
    pub(super) fn new(
        relay: RelayId,
        ipv4: bool,
        among: Among,
        credential: Arc<Credential>,
        start: u32,
    ) -> Self {
        Self { relay, ipv4, among, credential, start, pool: 0, refused: Refused::Port }
    }
}

impl Searches {
    /// When a search continues, or a port is to be tried again.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let at_once = (!self.waiting.is_empty()).then_some(Duration::ZERO);
        at_once.or_else(|| self.aside.front().map(|(until, _)| *until))
    }

    /// Gives back the ports that were set aside long enough.
    pub(super) fn take_back(&mut self, now: Duration, pools: &PortPools) {
        for _ in 0..RETURNS {
            let Some((_, address)) = self.aside.pop_front_if(|(until, _)| *until <= now) else {
                return;
            };
            pools.take_back(address);
        }
    }
}

impl Worker {
    /// Continues the searches of earlier turns. Called once a turn.
    pub(super) fn go_on_searching(&mut self, now: Sample, io: &mut Io) {
        self.searches.tries = 0;
        let mut left = self.searches.waiting.len();
        while left > 0 && self.searches.tries < TRIES {
            left -= 1;
            let Some(search) = self.searches.waiting.pop_front() else { break };
            // The client is gone. The slot of its allocation, and of its socket, may be in use
            // again.
            if !self.server.is_binding(search.relay) {
                continue;
            }
            if let Some(completion) = self.search(now, search, io) {
                self.complete(now, completion, io);
                self.carry_out(now, io);
            }
        }
    }

    /// Searches for a port: at random, as "it is RECOMMENDED" (RFC 8656 §7.2), and each port once,
    /// because one that another program holds leaves the pool for a while. `None` when the turn
    /// has had its maximum of tries: the search continues in the next turn, and no other client
    /// waits for it.
    pub(super) fn search(
        &mut self,
        now: Sample,
        mut search: Search,
        io: &mut Io,
    ) -> Option<Completion> {
        let pools = Arc::clone(&self.pools);
        let relay = search.relay;
        while let Some(pool) = pools.of_family(search.ipv4, search.start).nth(search.pool) {
            match self.try_one(now, pool, &search, io) {
                Tried::Bound(port, socket, token) => {
                    return Some(self.bound(relay, pool, port, socket, token));
                }
                Tried::Exhausted(refused) => {
                    search.refused = refused;
                    search.pool += 1;
                }
                Tried::Held => {
                    self.searches.tries += 1;
                    if self.searches.tries >= TRIES {
                        self.searches.waiting.push_back(search);
                        return None;
                    }
                }
            }
        }
        Some(self.not_bound(now, relay, search.ipv4, search.refused))
    }

    fn try_one(&mut self, now: Sample, pool: &PortPool, search: &Search, io: &mut Io) -> Tried {
        let port = match search.among {
            Among::Any => pool.take_any(&mut self.rng),
            Among::Even => pool.take_even(&mut self.rng),
            Among::Pairs => pool.take_pair(&mut self.rng),
        };
        let Some(port) = port else { return Tried::Exhausted(Refused::Port) };
        if search.among == Among::Pairs {
            return self.try_pair(now, pool, port, search, io);
        }
        match self.open(pool, port, search.relay, io) {
            Ok(socket) => Tried::Bound(port, socket, None),
            Err(error) => Tried::of(self.unbound(now, pool, port, error)),
        }
    }

    /// Binds an even port, and reserves the next one for the user if that one can be bound, too:
    /// the token is a promise.
    fn try_pair(
        &mut self,
        now: Sample,
        pool: &PortPool,
        port: u16,
        search: &Search,
        io: &mut Io,
    ) -> Tried {
        let (next, user) = (pool.bound(port + 1), search.credential.holder());
        let Some(token) = self.reservations.insert(now.monotonic, user, next, &mut self.rng) else {
            pool.give_back(port);
            pool.give_back(port + 1);
            return Tried::Exhausted(Refused::Reservation);
        };
        let opened = match UdpSocket::bind(next.0, &self.relayed_options) {
            Ok(probe) => {
                drop(probe);
                self.open(pool, port, search.relay, io)
                    .map_err(|error| (self.unbound(now, pool, port, error), port + 1))
            }
            Err(error) => Err((self.unbound(now, pool, port + 1, error), port)),
        };
        match opened {
            Ok(socket) => Tried::Bound(port, socket, Some(token)),
            Err((refused, other)) => {
                // If the reservation has expired meanwhile, the worker that expired it has given
                // the port back.
                if self.reservations.claim(now.monotonic, user, token).is_some() || other == port {
                    pool.give_back(other);
                }
                Tried::of(refused)
            }
        }
    }

    /// Opens the socket of a port that was taken from its pool.
    pub(super) fn open(
        &mut self,
        pool: &PortPool,
        port: u16,
        relay: RelayId,
        io: &mut Io,
    ) -> io::Result<SocketKey> {
        io.bind_udp(pool.bound(port).0, &self.relayed_options, Socket::Relay(relay).tag())
    }

    /// Gives back a port that cannot be bound, or sets it aside if another program holds it.
    /// Returns the reason.
    pub(super) fn unbound(
        &mut self,
        now: Sample,
        pool: &PortPool,
        port: u16,
        error: io::Error,
    ) -> Refused {
        let refused = Refused::of(&error);
        if refused == Refused::Port {
            pool.set_aside(port);
            self.searches.aside.push_back((now.monotonic + SET_ASIDE, pool.bound(port)));
        } else {
            pool.give_back(port);
        }
        self.searches.failed = Some((pool.bound(port), error));
        refused
    }

    pub(super) fn bound(
        &mut self,
        relay: RelayId,
        pool: &PortPool,
        port: u16,
        socket: SocketKey,
        reservation: Option<Token>,
    ) -> Completion {
        self.capacity.succeeded();
        self.relays.insert(relay, socket);
        self.relayed.hold(pool.bound(port), relay);
        Completion::Bound {
            relay,
            bound: pool.bound(port),
            advertised: pool.advertised(port),
            reservation,
        }
    }

    /// No relayed address could be bound for an Allocate: 508.
    pub(super) fn not_bound(
        &mut self,
        now: Sample,
        relay: RelayId,
        ipv4: bool,
        refused: Refused,
    ) -> Completion {
        self.counters.refused(refused);
        self.capacity.failed(now.monotonic, refused);
        self.log_unbound(now, ipv4, refused);
        Completion::BindFailed { relay, failure: BindFailure::Capacity }
    }
}

impl Tried {
    fn of(refused: Refused) -> Self {
        if refused == Refused::Port { Self::Held } else { Self::Exhausted(refused) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
    use std::ops::RangeInclusive;

    use causeway_net::{EventLoop, Service as _};
    use causeway_relay::AllocationId;

    use super::*;
    use crate::worker::tests::prepared;

    const PORTS: RangeInclusive<u16> = 21_000..=21_199;
    const NOW: Sample =
        Sample { monotonic: Duration::from_secs(100), unix: Duration::from_secs(1_800_000_000) };
    const RELAY: RelayId =
        RelayId { allocation: AllocationId { worker: 0, slot: 0, generation: 1 }, index: 0 };

    fn worker(addresses: &str) -> (Worker, EventLoop) {
        let ports = format!("{}-{}", PORTS.start(), PORTS.end());
        let flags =
            ["--relay-address", addresses, "--relay-ports", &ports, "--set", "relay.scope=private"];
        prepared(&flags)
    }

    /// Sockets of other programs at the ports of an address that `held` selects. Each test has an
    /// address of its own.
    fn others(address: &str, held: impl Fn(u16) -> bool) -> Vec<StdSocket> {
        let ip: IpAddr = address.parse().unwrap();
        PORTS.filter(|port| held(*port)).map(|port| StdSocket::bind((ip, port)).unwrap()).collect()
    }

    fn credential() -> Arc<Credential> {
        Arc::new(Credential::with_password("alice", "example.org", "secret").unwrap())
    }

    /// Searches to the end. Returns the bound address, and the number of turns.
    fn find(
        (worker, event_loop): &mut (Worker, EventLoop),
        now: Sample,
        among: Among,
    ) -> (Option<SocketAddr>, usize) {
        let search = Search::new(RELAY, true, among, credential(), 0);
        let mut completion = worker.search(now, search, event_loop.io());
        let mut turns = 1;
        while completion.is_none() {
            assert_eq!(
                (worker.searches.tries, worker.next_deadline()),
                (TRIES, Some(Duration::ZERO)),
                "a turn is bounded, and the next one comes"
            );
            worker.searches.tries = 0;
            let search = worker.searches.waiting.pop_front().unwrap();
            completion = worker.search(now, search, event_loop.io());
            turns += 1;
        }
        worker.searches.tries = 0;
        match completion {
            Some(Completion::Bound { bound, .. }) => (Some(bound.0), turns),
            _ => (None, turns),
        }
    }

    fn counts(worker: &Worker) -> (usize, usize) {
        let counts = worker.pools.counts(true);
        (counts.free, counts.held_elsewhere)
    }

    #[test]
    fn rfc8656_7_2_the_one_port_that_no_other_program_holds_is_found_in_bounded_turns() {
        let _others = others("127.71.0.1", |port| port != 21_077);
        let mut server = worker("127.71.0.1");
        let (bound, turns) = find(&mut server, NOW, Among::Any);
        assert_eq!(bound, Some("127.71.0.1:21077".parse().unwrap()));
        assert!(turns <= PORTS.len().div_ceil(TRIES), "{turns} turns");
    }

    #[test]
    fn rfc8656_7_2_ports_that_others_hold_are_tried_again_after_a_while_and_not_before() {
        let mut others = others("127.71.0.2", |_| true);
        let mut server = worker("127.71.0.2");
        assert_eq!(find(&mut server, NOW, Among::Any).0, None);
        assert_eq!(counts(&server.0), (0, PORTS.len()));
        let freed = others.swap_remove(5).local_addr().unwrap();
        assert_eq!(find(&mut server, NOW, Among::Any), (None, 1), "nothing is tried twice");
        assert_eq!(server.0.searches.next_deadline(), Some(NOW.monotonic + SET_ASIDE));
        let later = Sample { monotonic: NOW.monotonic + SET_ASIDE, ..NOW };
        server.0.timeout(later, server.1.io());
        assert_eq!(counts(&server.0), (PORTS.len(), 0));
        assert_eq!(find(&mut server, later, Among::Any).0, Some(freed));
    }

    #[test]
    fn rfc8656_18_7_an_even_port_is_found_among_those_that_others_hold() {
        let _others = others("127.71.0.3", |port| port.is_multiple_of(2) && port != 21_198);
        let mut server = worker("127.71.0.3");
        assert_eq!(
            find(&mut server, NOW, Among::Even).0,
            Some("127.71.0.3:21198".parse().unwrap())
        );
        assert_eq!(
            server.0.pools.counts(true).held_elsewhere + counts(&server.0).0,
            PORTS.len() - 1
        );
    }

    #[test]
    fn rfc8656_7_2_a_pair_is_reserved_only_where_both_ports_can_be_bound() {
        for others_hold in [
            |port: u16| port % 2 == 1 && port != 21_101,
            |port: u16| port.is_multiple_of(2) && port != 21_100,
        ] {
            let others = others("127.71.0.4", others_hold);
            let mut server = worker("127.71.0.4");
            assert_eq!(
                find(&mut server, NOW, Among::Pairs).0,
                Some("127.71.0.4:21100".parse().unwrap())
            );
            let held = others.len();
            let (free, held_elsewhere) = counts(&server.0);
            assert!(
                held_elsewhere <= held && free == PORTS.len() - 2 - held_elsewhere,
                "no port is lost: {free}, {held_elsewhere}"
            );
            assert_eq!(server.0.reservations.len(), 1, "of the one pair that there is");
        }
    }

    #[test]
    fn rfc8656_7_2_a_reserved_port_that_another_program_has_taken_is_508_and_comes_back() {
        let mut server = worker("127.71.0.5");
        let (worker, event_loop) = &mut server;
        let pool =
            worker.pools.of_address("127.71.0.5".parse().unwrap()).map(|pool| pool.take(21_001));
        assert_eq!(pool, Some(true));
        let address = BoundAddress("127.71.0.5:21001".parse().unwrap());
        let token =
            worker.reservations.insert(NOW.monotonic, "alice", address, &mut worker.rng).unwrap();
        let other = StdSocket::bind(address.0).unwrap();
        let completion = worker.bind_reserved(NOW, RELAY, token, &credential(), event_loop.io());
        assert!(matches!(completion, Completion::BindFailed { .. }));
        assert_eq!((counts(worker), worker.reservations.len()), ((PORTS.len() - 1, 1), 0));
        drop(other);
        worker.timeout(Sample { monotonic: NOW.monotonic + SET_ASIDE, ..NOW }, event_loop.io());
        assert_eq!(counts(worker), (PORTS.len(), 0));
    }

    #[test]
    fn h30_the_search_of_an_allocation_that_has_ended_takes_no_port_and_nothing_from_the_next_one_in_its_place()
     {
        let (mut worker, mut event_loop) = worker("127.71.0.7");
        let search = |relay| Search::new(relay, true, Among::Any, credential(), 0);
        let next =
            RelayId { allocation: AllocationId { generation: 2, ..RELAY.allocation }, ..RELAY };
        assert!(matches!(
            worker.search(NOW, search(next), event_loop.io()),
            Some(Completion::Bound { .. })
        ));
        worker.searches.waiting.push_back(search(RELAY));
        worker.go_on_searching(NOW, event_loop.io());
        assert!(worker.relays.get(next).is_some() && worker.searches.waiting.is_empty());
        assert_eq!((counts(&worker), worker.counters.live()), ((PORTS.len() - 1, 0), 0));
    }

    #[test]
    fn an_address_that_is_gone_is_told_apart_and_another_one_stands_in() {
        // The host has no such address.
        let mut gone = worker("192.0.2.1");
        assert_eq!(find(&mut gone, NOW, Among::Any), (None, 1));
        assert!(
            gone.0
                .searches
                .failed
                .as_ref()
                .is_some_and(|(_, error)| Refused::of(error) == Refused::Address)
        );
        assert_eq!(counts(&gone.0), (PORTS.len(), 0), "its ports are not lost");
        assert!(gone.0.capacity.readiness(NOW.monotonic).is_err(), "and readiness says so");
        let mut one_of_two = worker("192.0.2.1,127.71.0.6");
        assert!(
            find(&mut one_of_two, NOW, Among::Any)
                .0
                .is_some_and(|bound| bound.ip() == IpAddr::from([127, 71, 0, 6]))
        );
    }

    #[test]
    fn a_relay_address_that_the_host_does_not_have_is_bound_freely_by_name() {
        let flags = [
            "--relay-address",
            "192.0.2.1",
            "--set",
            "relay.scope=private",
            "--set",
            "net.freebind=true",
        ];
        let mut server = prepared(&flags);
        assert!(
            find(&mut server, NOW, Among::Any)
                .0
                .is_some_and(|bound| bound.ip() == IpAddr::from([192, 0, 2, 1]))
        );
    }
}
