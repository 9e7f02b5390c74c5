//! Channels to denied peers, for clients that must not see a 403 (`peers.denied = "ignore"`).

use causeway_wire::attribute::AddressFamily;
use causeway_wire::{ChannelNumber, ErrorCode};
use rand::CryptoRng;

use crate::address::PeerAddress;
use crate::ids::AllocationId;
use crate::memory::moment::Moment;
use crate::now::Now;
use crate::peers::channel::{self, Channels};
use crate::peers::policy::DeniedPeers;
use crate::quota::Ledger;
use crate::server::Server;
use crate::verdict::Discard;

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Whether requests for denied peers succeed.
    #[inline]
    pub(crate) fn ignores_denied(&self) -> bool {
        self.config.denied == DeniedPeers::Ignore
    }

    /// Binds a channel that carries nothing, because its peer is denied.
    // Deviation: RFC 8656 §9: with `peers.denied = "ignore"` a ChannelBind or CreatePermission for
    // a denied peer succeeds, and all peers at that address stay shut out: baresip 1.0 gives
    // the whole call up when one private candidate is answered 403. Off by default.
    pub(crate) fn bind_ignored(
        &mut self,
        now: Now,
        id: AllocationId,
        number: ChannelNumber,
        peer: PeerAddress,
    ) -> Result<(), ErrorCode> {
        let limit = self.config.limits.channels_per_allocation;
        // A channel from before the peer was denied carries nothing from now on.
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

    /// Whether the channels to denied peers allow binding number and peer.
    pub(crate) fn ignored_may_bind(
        &self,
        id: AllocationId,
        number: ChannelNumber,
        peer: &PeerAddress,
        now: Moment,
    ) -> bool {
        self.ignored(id).is_none_or(|ignored| ignored.may_bind(number, peer, now))
    }

    /// Number of channels to denied peers of an allocation, expired ones included.
    pub(crate) fn ignored_len(&self, id: AllocationId) -> usize {
        self.ignored(id).map_or(0, Channels::len)
    }

    /// Why data on a channel that is not bound are discarded.
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

    /// Why data to or from a peer without a permission are discarded. Any host can cause this, so
    /// it checks the address only, for which the policy does not ask the operating system.
    #[cold]
    pub(crate) fn why_not_permitted(&self, peer: PeerAddress) -> Discard {
        let is_denied =
            self.ignores_denied() && self.config.policy.check_address(peer.ip()).is_err();
        if is_denied { Discard::PeerDenied } else { Discard::NoPermission }
    }

    /// Forgets the channel to a denied peer with this number, which is bound to another peer now.
    pub(crate) fn forget_ignored(&mut self, id: AllocationId, number: ChannelNumber) {
        if self.ignored(id).is_some_and(|ignored| ignored.has(number)) {
            self.change_ignored(id, |ignored| ignored.remove(number));
        }
    }

    /// Removes the channels to denied peers that have expired, and those whose family has no
    /// relayed address any more (RFC 8656 §8.1).
    pub(crate) fn tidy_ignored(&mut self, id: AllocationId, now: Moment) {
        let Some(relays) = self.allocations.get(id).map(|allocation| allocation.relays) else {
            return;
        };
        if self.ignored(id).is_some() {
            let is_served =
                |peer: &PeerAddress| relays.of_family(AddressFamily::of(&peer.ip())).is_some();
            self.change_ignored(id, |ignored| {
                ignored.retain(|channel| channel.expires.is_after(now) && is_served(&channel.peer));
            });
        }
    }

    /// Forgets the channels to peers that a new policy allows: they have to be bound properly.
    pub(crate) fn forget_allowed(&mut self) {
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

    /// Changes the channels to denied peers, and updates the gauge.
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
