use std::net::SocketAddr;

use causeway_wire::attribute::AddressFamily;
use causeway_wire::{ChannelNumber, ErrorCode};
use rand::CryptoRng;

use crate::ids::AllocationId;
use crate::memory::moment::Moment;
use crate::now::Now;
use crate::peers::channel::{self, Channels};
use crate::peers::policy::DeniedPeers;
use crate::quota::Ledger;
use crate::server::Server;
use crate::verdict::Discard;

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Whether a client that asks for a denied peer is answered success.
    #[inline]
    pub(crate) fn ignores_denied(&self) -> bool {
        self.config.denied == DeniedPeers::Ignore
    }

    /// Binds a channel that carries nothing, since its peer is denied.
    // Deviation: RFC 8656 §9: with `peers.denied = "ignore"` a ChannelBind or CreatePermission for
    // a denied peer succeeds, and all peers at that address stay shut out: baresip 1.0 gives
    // the whole call up when one private candidate is answered 403. Off by default.
    pub(crate) fn bind_ignored(
        &mut self,
        now: Now,
        id: AllocationId,
        number: ChannelNumber,
        peer: SocketAddr,
    ) -> Result<(), ErrorCode> {
        let limit = self.config.limits.channels_per_allocation;
        // A channel from a time when the peer was not denied carries nothing from now on.
        self.change(id, |peers| {
            peers
                .channels
                .retain(|channel| channel.expires.is_after(now.moment()) && channel.peer != peer);
        });
        let others =
            self.allocations.get(id).map_or(limit, |allocation| allocation.peers.counts().1);
        let bound = self.change_ignored(id, |ignored| {
            let has_room =
                channel::has_room(ignored, number, limit.saturating_sub(others), now.moment());
            if has_room {
                ignored.bind(number, peer, now.after(channel::LIFETIME));
            }
            has_room
        });
        if bound == Some(true) { Ok(()) } else { Err(ErrorCode::INSUFFICIENT_CAPACITY) }
    }

    /// Whether the two may be bound as far as channels to denied peers are concerned.
    pub(crate) fn ignored_may_bind(
        &self,
        id: AllocationId,
        number: ChannelNumber,
        peer: &SocketAddr,
        now: Moment,
    ) -> bool {
        self.ignored(id).is_none_or(|ignored| ignored.may_bind(number, peer, now))
    }

    /// How many channels to denied peers an allocation has, expired ones included.
    pub(crate) fn ignored_len(&self, id: AllocationId) -> usize {
        self.ignored(id).map_or(0, Channels::len)
    }

    /// Why data on a channel that leads nowhere go nowhere.
    #[cold]
    pub(crate) fn why_no_channel(
        &self,
        id: AllocationId,
        number: ChannelNumber,
        now: Moment,
    ) -> Discard {
        let is_ignored =
            self.ignored(id).is_some_and(|ignored| ignored.peer(number, now).is_some());
        if is_ignored { Discard::PeerDenied } else { Discard::NoChannel }
    }

    /// Why nothing passes between the client and a peer that it has no permission for. Strangers
    /// cause the question: it goes by the address alone, for which the policy asks nobody.
    #[cold]
    pub(crate) fn why_not_permitted(&self, peer: SocketAddr) -> Discard {
        let is_denied =
            self.ignores_denied() && self.config.policy.check_address(peer.ip()).is_err();
        if is_denied { Discard::PeerDenied } else { Discard::NoPermission }
    }

    /// A channel with this number leads to a peer again.
    pub(crate) fn forget_ignored(&mut self, id: AllocationId, number: ChannelNumber) {
        if self.ignored(id).is_some_and(|ignored| ignored.has(number)) {
            self.change_ignored(id, |ignored| ignored.remove(number));
        }
    }

    /// Takes out the channels to denied peers that have expired, and those that no relayed address
    /// serves (RFC 8656 §8.1).
    pub(crate) fn tidy_ignored(&mut self, id: AllocationId, now: Moment) {
        let Some(relays) = self.allocations.get(id).map(|allocation| allocation.relays) else {
            return;
        };
        if self.ignored(id).is_some() {
            let is_served =
                |peer: &SocketAddr| relays.of_family(AddressFamily::of(&peer.ip())).is_some();
            self.change_ignored(id, |ignored| {
                ignored.retain(|channel| channel.expires.is_after(now) && is_served(&channel.peer));
            });
        }
    }

    /// Under another policy, a peer that is no longer denied needs a channel that leads to it.
    pub(crate) fn judge_ignored(&mut self) {
        let policy = &self.config.policy;
        for cold in self.allocations.iter_cold_mut() {
            let Some(ignored) = &mut cold.ignored else { continue };
            let before = ignored.len();
            ignored.retain(|channel| policy.check_transport(channel.peer).is_err());
            self.channels = self.channels + ignored.len() - before;
            cold.ignored.take_if(|ignored| ignored.len() == 0);
        }
    }

    fn ignored(&self, id: AllocationId) -> Option<&Channels> {
        self.allocations.cold(id)?.ignored.as_deref()
    }

    /// Changes them and keeps the gauge true.
    fn change_ignored<T>(
        &mut self,
        id: AllocationId,
        change: impl FnOnce(&mut Channels) -> T,
    ) -> Option<T> {
        let ignored = &mut self.allocations.cold_mut(id)?.ignored;
        let before = ignored.as_deref().map_or(0, Channels::len);
        let result = change(ignored.get_or_insert_with(|| Box::new(Channels::new())));
        self.channels = self.channels + ignored.as_deref().map_or(0, Channels::len) - before;
        ignored.take_if(|ignored| ignored.len() == 0);
        Some(result)
    }
}
