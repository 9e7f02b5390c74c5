//! The laboratory: one server, a clock that only tests move, and the shell around them.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_relay::{
    ClientVerdict, Command, Completion, Effect, Ended, FiveTuple, IcmpNotice, KeyAnswer, Notify,
    Now, PeerAddress, RelayId, Reply, Server, ToClient,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::answer::Answer;
use crate::port_pool::{Bind, PortPool};
use crate::quota::Quota;
use crate::reaction::Reaction;
use crate::setup::Setup;

/// When the laboratory's clock starts, in Unix time.
const EPOCH: Duration = Duration::from_secs(1_800_000_000);

/// One server in virtual time, with its shell.
pub struct Lab {
    /// The server under test.
    pub server: Server<Quota, StdRng>,
    /// The shell's model of relayed ports.
    pub pool: PortPool,
    /// The quota of allocations per user.
    pub quota: Quota,
    /// The accounts of allocations that have ended, in their order.
    pub ended: Vec<Ended>,
    /// The users whose keys the server asked for, in order.
    pub wanted: Vec<String>,
    /// The setup that it was made with.
    pub setup: Setup,
    /// Unix time when the monotonic clock started.
    epoch: Duration,
    elapsed: Duration,
    out: Vec<u8>,
}

impl Default for Lab {
    fn default() -> Self {
        Self::new(Setup::default())
    }
}

impl Lab {
    /// A server without allocations.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let quota = Quota::new(setup.quota);
        let generator = StdRng::seed_from_u64(setup.seed);
        let server = Server::new(setup.config(), setup.authenticator(), quota.clone(), generator);
        let pool = PortPool::new(setup.ports);
        Self {
            server,
            pool,
            quota,
            ended: Vec::new(),
            wanted: Vec::new(),
            setup,
            epoch: EPOCH,
            elapsed: Duration::ZERO,
            out: vec![0; 1500],
        }
    }

    /// The default setup with a change.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Setup)) -> Self {
        Self::new(Setup::with(change))
    }

    /// Another server of the same setup, started now: its monotonic clock begins at zero, and it
    /// has adopted every allocation of this one.
    ///
    /// # Panics
    /// When an allocation cannot be exported or adopted.
    #[must_use]
    pub fn succeed(&self) -> Self {
        // The operating system seeds each process differently.
        let setup = Setup { seed: self.setup.seed + 1, ..self.setup.clone() };
        let mut next = Self { epoch: self.now().unix, ..Self::new(setup) };
        for id in self.server.allocation_ids() {
            let record = self.server.export(self.now(), id).expect("the allocation exists");
            assert!(next.server.adopt(next.now(), &record).is_some(), "{record:?}");
        }
        next.time_out();
        next
    }

    /// The present time, monotonic and Unix.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { monotonic: self.elapsed, unix: self.epoch + self.elapsed }
    }

    /// Unix time in seconds.
    #[must_use]
    pub fn unix(&self) -> u64 {
        self.now().unix.as_secs()
    }

    /// Lets time pass without a call to the server, whose caller need not be punctual.
    pub fn pass_unnoticed(&mut self, time: Duration) {
        self.elapsed += time;
    }

    /// Lets time pass, and has the server do what is due by then.
    pub fn pass(&mut self, time: Duration) {
        self.elapsed += time;
        self.time_out();
    }

    /// Lets whole seconds pass.
    pub fn pass_seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Calls the server until nothing is due.
    ///
    /// # Panics
    /// When it asks for a call without end.
    pub fn time_out(&mut self) {
        let mut calls = 0;
        while self.server.poll_timeout().is_some_and(|due| due <= self.elapsed) {
            self.server.handle_timeout(self.now());
            calls += 1;
            assert!(calls < 10_000, "the server asks for a call without end");
        }
        self.pool.expire(self.elapsed);
        self.settle(None);
    }

    /// A datagram or a frame arrives from a client.
    pub fn client_sends(&mut self, from: &FiveTuple, bytes: &[u8]) -> Reaction {
        let verdict = self.server.handle_client(self.now(), from, bytes, &mut self.out);
        let reaction = match verdict {
            ClientVerdict::ToPeer(to_peer) => Reaction::ToPeer {
                from: self.pool.advertised(to_peer.relay),
                to: to_peer.peer.0,
                data: bytes[to_peer.data()].to_vec(),
                dont_fragment: to_peer.dont_fragment,
                carry_tos: to_peer.carry_tos,
            },
            ClientVerdict::Reply(reply) => self.reply(reply),
        };
        self.settle(Some(reaction))
    }

    /// A datagram arrives from a peer at an advertised relayed address; `None` when nothing is
    /// bound there.
    pub fn peer_sends(
        &mut self,
        peer: SocketAddr,
        advertised: SocketAddr,
        data: &[u8],
    ) -> Option<Reaction> {
        let relay = self.pool.relay(advertised)?;
        Some(self.peer_sends_to(relay, peer, data))
    }

    /// A datagram arrives from a peer at a relayed socket.
    pub fn peer_sends_to(&mut self, relay: RelayId, peer: SocketAddr, data: &[u8]) -> Reaction {
        let verdict = self.server.handle_peer(self.now(), relay, PeerAddress(peer), data.len());
        let reaction = match verdict {
            Ok(ToClient { client, prefix, padding, carry_tos }) => {
                assert!(padding < 4);
                let padding = &[0; 3][..usize::from(padding)];
                let bytes = [prefix.as_bytes(), data, padding].concat();
                Reaction::ToClient { to: client, bytes, carry_tos }
            }
            Err(why) => Reaction::Silence(why),
        };
        self.settle(Some(reaction))
    }

    /// An ICMP packet arrives about a datagram from an advertised relayed address to a peer.
    ///
    /// # Panics
    /// When nothing is bound there.
    pub fn icmp_arrives(
        &mut self,
        advertised: SocketAddr,
        peer: SocketAddr,
        notice: IcmpNotice,
    ) -> Reaction {
        let relay = self.pool.relay(advertised).expect("a relayed address that is bound");
        let verdict =
            self.server.handle_icmp(self.now(), relay, PeerAddress(peer), &notice, &mut self.out);
        let reaction = match verdict {
            Ok(Notify { client, len }) => {
                Reaction::Notice { to: client, bytes: self.out[..len].to_vec() }
            }
            Err(why) => Reaction::Silence(why),
        };
        self.settle(Some(reaction))
    }

    /// Hands in a command of the operator or of a client's connection.
    pub fn command(&mut self, command: Command) {
        self.server.handle_command(self.now(), command);
        self.settle(None);
    }

    /// The further source of keys answers; the reactions to the requests that waited for it.
    pub fn key(&mut self, username: &str, answer: KeyAnswer) -> Vec<Reaction> {
        self.server.handle_key(self.now(), username, answer);
        self.parked()
    }

    /// The reactions to requests that waited for a key.
    pub fn parked(&mut self) -> Vec<Reaction> {
        let mut reactions = Vec::new();
        while let Some(reply) = self.server.next_parked(self.now(), &mut self.out) {
            let reaction = self.reply(reply);
            reactions.push(self.settle(Some(reaction)));
        }
        reactions
    }

    /// Binds the sockets that were held back; the reactions for the clients.
    pub fn complete(&mut self) -> Vec<Reaction> {
        let mut reactions = Vec::new();
        while let Some(bind) = self.pool.waiting.pop_front() {
            let completion = self.pool.bind(self.elapsed, &bind);
            reactions.push(self.hand_in(completion));
        }
        self.settle(None);
        reactions
    }

    fn hand_in(&mut self, completion: Completion) -> Reaction {
        let reply = self.server.handle_completion(self.now(), completion, &mut self.out);
        self.reply(reply)
    }

    /// Performs the effects of the server. A bind that completes at once may bring the answer that
    /// was due later.
    fn settle(&mut self, reaction: Option<Reaction>) -> Reaction {
        let mut reaction = reaction.unwrap_or(Reaction::Later);
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Bind { relay, family, port, credential } => {
                    let bind = Bind { relay, family, port, user: credential.holder().to_owned() };
                    if self.pool.hold {
                        self.pool.waiting.push_back(bind);
                        continue;
                    }
                    let completion = self.pool.bind(self.elapsed, &bind);
                    let answered = self.hand_in(completion);
                    if reaction == Reaction::Later {
                        reaction = answered;
                    }
                }
                Effect::Release { relay, bound } => self.pool.release(relay, bound.0),
                Effect::Ended(ended) => self.ended.push(ended),
                Effect::WantKey { username } => self.wanted.push(username.into()),
            }
        }
        reaction
    }

    fn reply(&self, reply: Reply) -> Reaction {
        match reply {
            Reply::Respond(respond) => Reaction::Answer(Answer::new(&respond, &self.out)),
            Reply::Discard(why) => Reaction::Silence(why),
            Reply::Later => Reaction::Later,
        }
    }
}
