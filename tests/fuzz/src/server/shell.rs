//! A shell without sockets around the core: it carries out verdicts and effects, and asserts.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{
    Authenticator, Credential, Credentials, FurtherSource, Key, LimiterSettings, NonceKey,
    NonceKeys, NonceText,
};
use causeway_relay::{
    AdvertisedAddress, BindFailure, BoundAddress, ChannelPermission, ClientVerdict, Command,
    Completion, Config, DeniedPeers, Effect, Families, FiveTuple, Gauges, IcmpNotice, KeyAnswer,
    Ledger, Limits, Now, PeerAddress, RelayId, Reply, Server, ToPeer, WantedPort,
};
use causeway_wire::attribute::{AddressFamily, AttributeType};
use causeway_wire::{ChannelRange, Message};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub(crate) const REALM: &str = "example.org";
/// The users; the key of the last one is kept elsewhere.
pub(crate) const USERS: [&str; 3] = ["alice", "bob", "carol"];
pub(crate) const PASSWORD: &str = "secret";
pub(crate) const LISTENER: &str = "9.9.9.9:3478";
pub(crate) const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(11, 0, 0, 9));

const EPOCH: Duration = Duration::from_secs(1_800_000_000);
const PERMISSIONS: usize = 4;
const CHANNELS: usize = 3;
const ALLOCATIONS: usize = 6;
const QUOTA: usize = 4;

/// Counts the allocations of all users together.
struct Count(Rc<Cell<usize>>);

impl Ledger for Count {
    type Guard = Held;

    fn try_acquire(&self, _: &str) -> Option<Held> {
        if self.0.get() >= QUOTA {
            return None;
        }
        self.0.set(self.0.get() + 1);
        Some(Held(Rc::clone(&self.0)))
    }
}

struct Held(Rc<Cell<usize>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Carries out the server's decisions, and asserts what must hold for each.
pub(crate) struct Shell {
    server: Server<Count, StdRng>,
    authenticator: Arc<Authenticator>,
    held: Rc<Cell<usize>>,
    rfc5766: bool,
    elapsed: Duration,
    waiting: VecDeque<(RelayId, AddressFamily, WantedPort)>,
    bound: BTreeMap<SocketAddr, RelayId>,
    last: Option<Completion>,
    wanted: VecDeque<Box<str>>,
    next_port: u16,
    out: Vec<u8>,
}

impl Shell {
    pub(crate) fn new(rfc5766: bool, further_source: bool) -> Self {
        let mut credentials = Credentials::new();
        for user in &USERS[..2] {
            credentials.add_user(
                Credential::with_password(user, REALM, PASSWORD)
                    .expect("names and a password of ASCII"),
            );
        }
        if further_source {
            credentials.set_further_source(FurtherSource { has_sha256: true });
        }
        let nonces = NonceKeys::new(NonceKey::new(&[1; 32]), None, 600);
        let authenticator = Arc::new(Authenticator::new(REALM, credentials, nonces, 0));
        let held = Rc::new(Cell::new(0));
        Self {
            server: make(rfc5766, &authenticator, &held),
            authenticator,
            held,
            rfc5766,
            elapsed: Duration::ZERO,
            waiting: VecDeque::new(),
            bound: BTreeMap::new(),
            last: None,
            wanted: VecDeque::new(),
            next_port: 49_152,
            out: vec![0; 1500],
        }
    }

    pub(crate) fn nonce(&self, client: SocketAddr) -> NonceText {
        self.authenticator.mint(client, self.now().unix.as_secs())
    }

    fn now(&self) -> Now {
        Now { monotonic: self.elapsed, unix: EPOCH + self.elapsed }
    }

    pub(crate) fn client_sends(&mut self, from: &FiveTuple, bytes: &[u8]) {
        match self.server.handle_client(self.now(), from, bytes, &mut self.out) {
            ClientVerdict::ToPeer(to_peer) => self.check_to_peer(&to_peer, bytes),
            ClientVerdict::Reply(reply) => {
                if let Reply::Respond(respond) = reply {
                    assert_eq!(respond.to, *from, "a response goes to the client that asked");
                }
                self.check(&reply);
            }
        }
    }

    pub(crate) fn peer_sends(&mut self, which: u8, peer: SocketAddr, len: usize) {
        let Some(relay) = self.bound_relay(which) else { return };
        if let Ok(to_client) = self.server.handle_peer(self.now(), relay, PeerAddress(peer), len) {
            assert!(to_client.padding < 4 && !to_client.prefix.as_bytes().is_empty());
        }
    }

    pub(crate) fn icmp_arrives(&mut self, which: u8, peer: SocketAddr, notice: IcmpNotice) {
        let Some(relay) = self.bound_relay(which) else { return };
        let verdict =
            self.server.handle_icmp(self.now(), relay, PeerAddress(peer), &notice, &mut self.out);
        let Ok(notify) = verdict else { return };
        let message = Message::decode(&self.out[..notify.len]).expect("an indication is a message");
        assert!(message.has(AttributeType::ICMP) && message.has(AttributeType::XOR_PEER_ADDRESS));
    }

    /// One of the relayed addresses that are bound; `None` while there is none.
    fn bound_relay(&self, which: u8) -> Option<RelayId> {
        self.bound.values().nth(usize::from(which) % self.bound.len().max(1)).copied()
    }

    /// Time passes; now and then the server is not called although something is due.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.elapsed += time;
        if time.as_millis().is_multiple_of(3) {
            return;
        }
        let mut calls = 0;
        while self.server.poll_timeout().is_some_and(|due| due <= self.elapsed) {
            self.server.handle_timeout(self.now());
            calls += 1;
            assert!(calls < 1000, "it never ends");
        }
        self.unpark();
    }

    /// The source of keys answers the oldest question, or one that was not asked.
    pub(crate) fn key(&mut self, how: u8) {
        let username =
            self.wanted.pop_front().unwrap_or_else(|| USERS[usize::from(how) % 3].into());
        let answer = match how % 5 {
            0 => KeyAnswer::Unavailable,
            1 => KeyAnswer::Unknown,
            2 => KeyAnswer::Found(Arc::new(Credential::new(
                "mallory",
                Key::long_term_md5("mallory", REALM, PASSWORD),
            ))),
            3 => KeyAnswer::Found(Arc::new(Credential::new(
                &username,
                Key::long_term_md5(&username, REALM, "another"),
            ))),
            _ => {
                let md5 =
                    Credential::new(&username, Key::long_term_md5(&username, REALM, PASSWORD));
                KeyAnswer::Found(Arc::new(
                    md5.with_key(Key::long_term_sha256(&username, REALM, PASSWORD)),
                ))
            }
        };
        self.server.handle_key(self.now(), &username, answer);
        self.unpark();
    }

    fn unpark(&mut self) {
        while let Some(reply) = self.server.next_parked(self.now(), &mut self.out) {
            self.check(&reply);
        }
    }

    /// The oldest waiting bind succeeds or fails, or the last report is repeated.
    pub(crate) fn complete(&mut self, how: u8) {
        let completion = match (how % 8, self.last) {
            // The socket has been closed since, and its address may be in use again.
            (7, Some(Completion::Bound { bound, relay, .. }))
                if self.bound.get(&bound) != Some(&relay) =>
            {
                return;
            }
            (7, Some(last)) => last,
            (how, _) => {
                let Some((relay, family, port)) = self.waiting.pop_front() else { return };
                self.bind(how, relay, family, port)
            }
        };
        self.last = Some(completion);
        let reply = self.server.handle_completion(self.now(), completion, &mut self.out);
        self.check(&reply);
    }

    fn bind(
        &mut self,
        how: u8,
        relay: RelayId,
        family: AddressFamily,
        port: WantedPort,
    ) -> Completion {
        let failure = match how {
            0 => BindFailure::Capacity,
            1 => BindFailure::Family,
            _ => {
                self.next_port = self.next_port.checked_add(1).unwrap_or(49_152);
                let ip = if family == AddressFamily::Ipv4 {
                    RELAY
                } else {
                    [0x2a01, 0, 0, 0, 0, 0, 0, 9].into()
                };
                let bound = if let WantedPort::Exactly(address) = port {
                    address.0
                } else {
                    SocketAddr::new(ip, self.next_port)
                };
                if self.bound.insert(bound, relay).is_none() {
                    let reservation = (port == WantedPort::EvenAndReserve).then_some([how; 8]);
                    let (bound, advertised) = (BoundAddress(bound), AdvertisedAddress(bound));
                    return Completion::Bound { relay, bound, advertised, reservation };
                }
                BindFailure::Capacity
            }
        };
        Completion::BindFailed { relay, failure }
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.server.handle_command(self.now(), command);
    }

    pub(crate) fn end_one(&mut self, which: u8) {
        let found = self.server.allocation_ids().nth(usize::from(which));
        if let Some(id) = found {
            self.command(Command::End(id));
        }
    }

    /// Another server takes over the allocations; those that are still being bound are lost.
    pub(crate) fn succeed(&mut self) {
        let now = self.now();
        let records: Vec<_> =
            self.server.allocation_ids().filter_map(|id| self.server.export(now, id)).collect();
        self.held = Rc::new(Cell::new(0));
        self.server = make(self.rfc5766, &self.authenticator, &self.held);
        (self.waiting, self.bound, self.last) = (VecDeque::new(), BTreeMap::new(), None);
        self.wanted.clear();
        for record in records {
            let adopted = self.server.adopt(now, &record);
            assert_eq!(
                adopted.is_some(),
                record.relayed.iter().any(|relayed| !relayed.time_to_expiry.is_zero())
            );
        }
    }

    /// Drains the effects, and checks the gauges.
    pub(crate) fn settle(&mut self) {
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Bind { relay, family, port, .. } => {
                    self.waiting.push_back((relay, family, port));
                }
                Effect::Release { relay, bound } => assert_eq!(
                    self.bound.remove(&bound),
                    Some(relay),
                    "released once, by its owner"
                ),
                Effect::WantKey { username } => self.wanted.push_back(username),
                Effect::Ended(ended) => assert!(self.server.traffic(ended.allocation).is_none()),
            }
        }
        let gauges = self.server.gauges();
        assert!(
            gauges.allocations <= ALLOCATIONS
                && gauges.prefixes <= gauges.allocations
                && gauges.allocations == self.held.get()
        );
        assert!(
            gauges.permissions <= gauges.allocations * PERMISSIONS
                && gauges.channels <= gauges.allocations * CHANNELS
        );
        assert!(self.bound.len() + self.waiting.len() >= gauges.allocations);
        assert_eq!(self.server.allocation_ids().count(), gauges.allocations);
        assert!(gauges.parked <= 1024 && gauges.keys <= USERS.len());
    }

    /// Time passes until every allocation has ended.
    pub(crate) fn end(&mut self) {
        while !self.waiting.is_empty() {
            self.complete(2);
            self.settle();
        }
        self.pass(Duration::from_millis(4_000_001));
        self.settle();
        self.command(Command::ForgetKeys);
        assert_eq!(self.server.gauges(), Gauges::default());
        assert!(
            self.bound.is_empty() && self.held.get() == 0 && self.server.poll_timeout().is_none()
        );
    }

    fn check_to_peer(&self, to_peer: &ToPeer, datagram: &[u8]) {
        let (data, peer) = (to_peer.data(), to_peer.peer);
        assert!(data.start <= data.end && data.end <= datagram.len() && peer.port() != 0);
        assert_eq!(
            self.server.policy().check_transport(peer),
            Ok(()),
            "nothing goes to a denied peer"
        );
        assert!(
            self.bound.values().any(|bound| *bound == to_peer.relay),
            "the relayed address is bound"
        );
    }

    fn check(&self, reply: &Reply) {
        if let Reply::Respond(respond) = reply {
            assert!(respond.len <= self.out.len());
            let message =
                Message::decode(&self.out[..respond.len]).expect("a response is a message");
            assert!(message.method() == respond.method && message.fingerprint() != Some(false));
        }
    }
}

fn make(
    rfc5766: bool,
    authenticator: &Arc<Authenticator>,
    held: &Rc<Cell<usize>>,
) -> Server<Count, StdRng> {
    let limits = Limits {
        permissions_per_allocation: PERMISSIONS,
        channels_per_allocation: CHANNELS,
        allocations: ALLOCATIONS,
        allocations_per_prefix: 3,
        default_lifetime: Duration::from_secs(600),
        max_lifetime: Duration::from_secs(3600),
    };
    let config = Config {
        worker: 0,
        families: Families { ipv4: true, ipv6: true },
        channels: if rfc5766 { ChannelRange::Rfc5766 } else { ChannelRange::Rfc8656 },
        channel_permission: ChannelPermission::default(),
        limits,
        policy: super::policy(1),
        denied: if rfc5766 { DeniedPeers::Ignore } else { DeniedPeers::Refuse },
        track_changes: true,
        unauthenticated: Some(LimiterSettings { burst: 4096, rate: 64 }),
        external: Vec::new(),
        software: None,
    };
    Server::new(config, Arc::clone(authenticator), Count(Rc::clone(held)), StdRng::seed_from_u64(1))
}
