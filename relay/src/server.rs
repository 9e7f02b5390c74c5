//! The server: its inputs, its outputs, and the dispatch between them (RFC 8656 §5).

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{Authenticator, KeyCache, Limiter};
use causeway_wire::binding::{self, Received, Usage};
use causeway_wire::demux::{Protocol, protocol};
use causeway_wire::{ChannelRange, Class, Message, Method};
use rand::CryptoRng;

use crate::address::AdvertisedAddress;
use crate::allocation::Traffic;
use crate::allocation::changes::Changes;
use crate::allocation::relays::RelayedTransportAddress;
use crate::allocation::table::Allocations;
use crate::config::Config;
use crate::effect::{Advertised, Command, Completion, Effect, EndReason};
use crate::five_tuple::FiveTuple;
use crate::ids::{AllocationId, RelayId};
use crate::memory::wheel::Wheel;
use crate::now::Now;
use crate::peers::policy::PeerPolicy;
use crate::quota::{Ledger, PrefixCounts};
use crate::request::parked::{Parked, Ready};
use crate::request::refusals::SharedBudgets;
use crate::verdict::{ClientVerdict, Discard, Reply, Respond};

/// Maximum number of allocations visited in one call of [`Server::handle_timeout`].
const VISITS: usize = 1024;
/// Maximum number of them that end in one call: each closes a socket, which costs as much as many
/// visits.
const ENDS: usize = 64;

/// One TURN server for one worker.
///
/// Its methods are of four kinds:
/// 1. **Inputs.** [`handle_client`](Self::handle_client), [`handle_peer`](Self::handle_peer),
///    [`handle_icmp`](Self::handle_icmp), [`handle_completion`](Self::handle_completion),
///    [`handle_command`](Self::handle_command), [`handle_key`](Self::handle_key) and
///    [`handle_timeout`](Self::handle_timeout). Carry out the returned verdict at once: it
///    refers to the bytes of this input, and to `out`.
/// 2. **Effects.** After each input, drain [`poll_effect`](Self::poll_effect) in order, and
///    report each bind by `handle_completion`.
/// 3. **Replies that waited.** After `handle_key` and `handle_timeout`, also drain
///    [`next_parked`](Self::next_parked).
/// 4. **The deadline.** Then read [`poll_timeout`](Self::poll_timeout), and call
///    `handle_timeout` at that time.
///
/// The server performs no I/O, reads no clock and holds no lock. The caller samples `now` once
/// per batch; `R` is a CSPRNG that the operating system has seeded (H26). Responses are written
/// to `out`: 1,500 bytes are enough for each.
pub struct Server<L: Ledger, R> {
    pub(crate) config: Config,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) ledger: L,
    pub(crate) rng: R,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) allocations: Allocations<L::Guard>,
    pub(crate) prefixes: PrefixCounts,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) changes: Changes,
    pub(crate) keys: KeyCache,
    pub(crate) parked: Parked,
    pub(crate) ready: Ready,
    pub(crate) refusals: SharedBudgets,
    /// Counts the authenticators: a credential has to be shown again under each.
    pub(crate) realm: NonZeroU32,
    pub(crate) wheel: Wheel<AllocationId>,
    pub(crate) permissions: usize,
    pub(crate) channels: usize,
}

/// The numbers of entries in the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Number of allocations.
    pub allocations: usize,
    /// Number of permissions of all allocations.
    pub permissions: usize,
    /// Number of channels of all allocations.
    pub channels: usize,
    /// Number of source prefixes with an allocation.
    pub prefixes: usize,
    /// Number of entries of the timer wheel: one per allocation, and those of allocations that
    /// ended less than a minute ago.
    pub timers: usize,
    /// Number of requests that wait for a key.
    pub parked: usize,
    /// Number of users whose key, or whose absence, is remembered.
    pub keys: usize,
}

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// A server without allocations.
    #[must_use]
    pub fn new(config: Config, authenticator: Arc<Authenticator>, ledger: L, mut rng: R) -> Self {
        let changes = Changes::new(config.track_changes);
        Self {
            // Seeded, so that no client can aim at its places.
            limiter: config
                .unauthenticated
                .map(|settings| Limiter::new(settings, std::array::from_fn(|_| rng.next_u64()))),
            allocations: Allocations::new(config.worker),
            config,
            authenticator,
            ledger,
            rng,
            prefixes: PrefixCounts::default(),
            effects: VecDeque::new(),
            wheel: Wheel::new(),
            changes,
            keys: KeyCache::new(),
            parked: Parked::default(),
            ready: Ready::default(),
            refusals: SharedBudgets::new(),
            realm: NonZeroU32::MIN,
            permissions: 0,
            channels: 0,
        }
    }

    /// Takes a datagram, or one whole frame of a stream, from a client.
    pub fn handle_client(
        &mut self,
        now: Now,
        from: &FiveTuple,
        bytes: &[u8],
        out: &mut [u8],
    ) -> ClientVerdict {
        let Some(&first) = bytes.first() else { return Discard::NotStun.into() };
        match protocol(first) {
            Protocol::Channel => {}
            Protocol::Stun => return self.stun(now, from, bytes, out),
            // Where RFC 5766 had channels; without them the reserved range of RFC 8656 §12.6.
            Protocol::Quic if first < 0x80 => {
                if self.config.channels != ChannelRange::Rfc5766 {
                    return Discard::ReservedChannel.into();
                }
            }
            _ => return Discard::NotStun.into(),
        }
        self.channel_data(now, from, bytes).into()
    }

    fn stun(&mut self, now: Now, from: &FiveTuple, bytes: &[u8], out: &mut [u8]) -> ClientVerdict {
        let Ok(message) = Message::decode(bytes) else { return Discard::Malformed.into() };
        if message.is_rfc3489() {
            let reply = match self.binding_answer(from, &message, out) {
                Reply::Discard(Discard::Unsupported) => Reply::Discard(Discard::NoCookie),
                reply => reply,
            };
            return self.unless_limited(now, from, bytes.len(), reply).into();
        }
        if message.fingerprint() == Some(false) {
            return Discard::Fingerprint.into();
        }
        match (message.class(), message.method()) {
            (Class::Indication, Method::SEND) => self.send(now, from, &message).into(),
            (
                Class::Request,
                Method::ALLOCATE
                | Method::REFRESH
                | Method::CREATE_PERMISSION
                | Method::CHANNEL_BIND,
            ) => self.request(now, from, &message, false, out).into(),
            (Class::Request, Method::BINDING) => {
                let reply = self.binding_answer(from, &message, out);
                self.unless_limited(now, from, bytes.len(), reply).into()
            }
            (Class::Indication, Method::BINDING) => Discard::Keepalive.into(),
            _ => Discard::Unsupported.into(),
        }
    }

    /// Takes the report on an effect. The reply is the one that waited for it, if any did.
    pub fn handle_completion(&mut self, now: Now, completion: Completion, out: &mut [u8]) -> Reply {
        match completion {
            Completion::Bound { relay, bound, advertised, reservation } => self.relay_bound(
                now,
                relay,
                RelayedTransportAddress { bound, advertised },
                reservation,
                out,
            ),
            Completion::BindFailed { relay, failure } => {
                self.relay_failed(now, relay, failure, out)
            }
        }
    }

    /// Takes a command of the operator, or of a client's connection.
    pub fn handle_command(&mut self, now: Now, command: Command) {
        match command {
            Command::SetPolicy(policy) => self.set_policy(policy),
            Command::End(id) => self.end(id, now.monotonic, EndReason::Ended),
            Command::ForgetKeys => self.keys.clear(),
            // The caller builds the realm without knowing the current nonce keys, so keep ours.
            Command::SetAuthenticator(realm) => {
                self.authenticator =
                    Arc::new(realm.with_nonces(self.authenticator.nonces().clone()));
                self.realm = self.realm.checked_add(1).unwrap_or(NonZeroU32::MIN);
            }
            Command::SetNonceKeys(keys) => {
                self.authenticator = Arc::new(self.authenticator.with_nonces(*keys));
            }
            Command::ClientGone(five_tuple) => {
                self.forget_parked(&five_tuple);
                if let Some(id) = self.allocations.find(&five_tuple) {
                    self.end(id, now.monotonic, EndReason::ClientGone);
                }
            }
        }
    }

    /// Ends everything that has expired, a bounded number at a time.
    /// [`poll_timeout`](Self::poll_timeout) says when to call again, which may be at once.
    pub fn handle_timeout(&mut self, now: Now) {
        self.unpark_expired(now.monotonic);
        let mut ends = 0;
        for _ in 0..VISITS {
            if ends == ENDS {
                return;
            }
            let Some((second, id)) = self.wheel.expire(now.monotonic) else { return };
            let Some(allocation) = self.allocations.get(id) else { continue };
            if self.allocations.cold(id).is_none_or(|cold| u64::from(cold.visit) != second) {
                continue;
            }
            if !allocation.relays.any_live(now.moment()) {
                self.end(id, now.monotonic, EndReason::Expired);
                ends += 1;
            } else {
                self.release_expired(id, now.monotonic);
                self.change(id, |peers| peers.remove_expired(now.moment()));
                self.tidy_ignored(id, now.moment());
                self.schedule(id, now.monotonic);
            }
        }
    }

    /// The next effect for the caller to carry out.
    #[must_use]
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether this relayed address is still being bound. Its allocation may have ended meanwhile.
    #[must_use]
    pub fn is_binding(&self, relay: RelayId) -> bool {
        self.allocations
            .get(relay.allocation)
            .is_some_and(|allocation| allocation.relays.is_binding(relay.index))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), on the monotonic clock; `None` while
    /// nothing can expire.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.wheel.next().into_iter().chain(self.parked.next()).min()
    }

    /// The numbers of entries in the tables.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            allocations: self.allocations.len(),
            permissions: self.permissions,
            channels: self.channels,
            prefixes: self.prefixes.len(),
            timers: self.wheel.len(),
            parked: self.parked.len() + self.ready.len(),
            keys: self.keys.len(),
        }
    }

    /// The data that an allocation has relayed so far.
    #[must_use]
    pub fn traffic(&self, id: AllocationId) -> Option<Traffic> {
        self.allocations.get(id).map(|allocation| allocation.traffic)
    }

    /// The relayed addresses of an allocation, as advertised, IPv4 before IPv6. Empty while they
    /// are being bound, or if there is no such allocation.
    #[must_use]
    pub fn relayed(&self, id: AllocationId) -> Advertised {
        let mut advertised = Advertised::new();
        if let Some(allocation) =
            self.allocations.get(id).filter(|allocation| allocation.relays.is_ready())
        {
            let bound =
                allocation.relays.bound().filter_map(|index| self.allocations.relayed(id, index));
            advertised.extend(bound.map(|relay| relay.advertised));
            advertised.sort_unstable_by_key(|address| address.is_ipv6());
        }
        advertised
    }

    /// One relayed address, as advertised. `None` while it is being bound, or if there is none.
    #[must_use]
    #[inline]
    pub fn advertised(&self, relay: RelayId) -> Option<AdvertisedAddress> {
        self.allocations
            .get(relay.allocation)
            .filter(|allocation| allocation.relays.is_bound(relay.index))?;
        self.allocations.relayed(relay.allocation, relay.index).map(|relayed| relayed.advertised)
    }

    /// The policy that says which peers may be reached.
    #[must_use]
    pub fn policy(&self) -> &PeerPolicy {
        &self.config.policy
    }

    /// The realm of this server.
    #[must_use]
    pub fn realm(&self) -> &str {
        self.authenticator.realm()
    }

    /// The allocation of a 5-tuple.
    #[must_use]
    pub fn allocation(&self, five_tuple: &FiveTuple) -> Option<AllocationId> {
        self.allocations.find(five_tuple)
    }

    /// Replies to a Binding request, for clients that learn their address here; also to one of RFC
    /// 3489.
    fn binding_answer(&self, from: &FiveTuple, message: &Message<'_>, out: &mut [u8]) -> Reply {
        let received = Received {
            source: from.client,
            local: self.config.outside(from.server),
            over: from.transport,
        };
        match binding::answer(message, &received, Usage::Binding, out) {
            Ok(answer) => Reply::Respond(Respond {
                to: *from,
                len: answer.len,
                method: message.method(),
                error: answer.error,
                refusal: None,
            }),
            Err(binding::Silence::Fingerprint) => Reply::Discard(Discard::Fingerprint),
            Err(binding::Silence::NotBindingRequest) => Reply::Discard(Discard::Unsupported),
            Err(binding::Silence::NoSpace) => Reply::Discard(Discard::NoSpace),
        }
    }

    fn set_policy(&mut self, policy: PeerPolicy) {
        for allocation in self.allocations.iter_mut() {
            let before = allocation.peers.counts();
            allocation.peers.change(|peers| {
                peers.permissions.retain(|peer| policy.check_address(*peer).is_ok());
                peers.channels.retain(|channel| policy.check_transport(channel.peer).is_ok());
            });
            let after = allocation.peers.counts();
            self.permissions = self.permissions + after.0 - before.0;
            self.channels = self.channels + after.1 - before.1;
        }
        self.config.policy = policy;
        self.forget_allowed();
        self.note_all();
    }
}
