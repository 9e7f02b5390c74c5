//! The life of an allocation: admission, visits by the timer wheel, and its end.

use std::time::Duration;

use rand::CryptoRng;

use crate::allocation::Allocation;
use crate::allocation::relays::RelayedTransportAddress;
use crate::allocation::table::Parts;
use crate::effect::{Effect, EndReason, Ended};
use crate::five_tuple::FiveTuple;
use crate::ids::{AllocationId, RelayId};
use crate::memory::moment::Moment;
use crate::peers::Tables;
use crate::quota::Ledger;
use crate::server::Server;

/// How often an allocation is visited, at least, to remove expired permissions and channels.
const VISIT: Duration = Duration::from_secs(60);

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// The live allocation of a 5-tuple. One that has expired, but was not visited yet, ends here,
    /// so that it is never used.
    pub(crate) fn live(&mut self, five_tuple: &FiveTuple, now: Duration) -> Option<AllocationId> {
        let id = self.allocations.find(five_tuple)?;
        if self.allocations.get(id)?.relays.any_live(Moment::of(now)) {
            self.release_expired(id, now);
            return Some(id);
        }
        self.end(id, now, EndReason::Expired);
        None
    }

    /// Releases the relayed address of a dual allocation that has expired while the other one
    /// lives.
    pub(crate) fn release_expired(&mut self, id: AllocationId, now: Duration) {
        let now = Moment::of(now);
        let expired = self
            .allocations
            .get(id)
            .filter(|allocation| allocation.relays.any_expired(now))
            .and_then(|allocation| {
                let relays = &allocation.relays;
                relays.bound().find(|index| !relays.is_live(*index, now))
            });
        if let Some(index) = expired {
            self.release(id, index, now);
        }
    }

    /// Releases one of two relayed addresses, with the permissions and channels of its family:
    /// "it MUST NOT affect any permissions or channels associated with allocations for the
    /// other address family" (RFC 8656 §8.1).
    pub(crate) fn release(&mut self, id: AllocationId, index: u8, now: Moment) {
        let removed = self.change_allocation(id, |allocation| {
            let removed = allocation.relays.remove(index);
            allocation.drop_unserved();
            removed
        });
        self.tidy_ignored(id, now);
        if let (Some(true), Some(RelayedTransportAddress { bound, .. })) =
            (removed, self.allocations.relayed(id, index))
        {
            self.effects
                .push_back(Effect::Release { relay: RelayId { allocation: id, index }, bound });
            self.note_change(id);
        }
    }

    /// Changes the permissions and channels of an allocation, and updates the gauges.
    pub(crate) fn change<T>(
        &mut self,
        id: AllocationId,
        change: impl FnOnce(&mut Tables) -> T,
    ) -> Option<T> {
        self.change_allocation(id, |allocation| allocation.peers.change(change))
    }

    /// Changes an allocation, and updates the gauges.
    pub(crate) fn change_allocation<T>(
        &mut self,
        id: AllocationId,
        change: impl FnOnce(&mut Allocation) -> T,
    ) -> Option<T> {
        let allocation = self.allocations.get_mut(id)?;
        let before = allocation.peers.counts();
        let result = change(allocation);
        let after = allocation.peers.counts();
        self.permissions = self.permissions + after.0 - before.0;
        self.channels = self.channels + after.1 - before.1;
        Some(result)
    }

    /// Adds an allocation to the table, the counts and the wheel.
    pub(crate) fn admit(&mut self, allocation: Parts<L::Guard>, now: Duration) -> AllocationId {
        self.prefixes.add(allocation.five_tuple.client.ip());
        let (permissions, channels) = allocation.peers.counts();
        (self.permissions, self.channels) =
            (self.permissions + permissions, self.channels + channels);
        let id = self.allocations.insert(allocation);
        self.schedule(id, now);
        id
    }

    /// Makes the wheel visit an allocation in time. Its earlier entry becomes void.
    pub(crate) fn schedule(&mut self, id: AllocationId, now: Duration) {
        let Some(allocation) = self.allocations.get(id) else { return };
        let at = allocation.relays.next_expiry(now).min(now.saturating_add(VISIT));
        let visit = self.wheel.insert(now, at, id);
        if let Some(cold) = self.allocations.cold_mut(id) {
            cold.visit = visit as u32;
        }
    }

    /// Ends an allocation. This is the only way out of the table: the relayed sockets are released,
    /// and dropping the record gives the quota back (H30).
    pub(crate) fn end(&mut self, id: AllocationId, now: Duration, reason: EndReason) {
        let (addresses, advertised) = (
            [0, 1].map(|index| self.allocations.relayed(id, index)),
            self.allocations.advertised(id),
        );
        let Some(Parts { five_tuple, relays, peers, traffic, cold }) = self.allocations.remove(id)
        else {
            return;
        };
        self.prefixes.remove(five_tuple.client.ip());
        let (permissions, channels) = peers.counts();
        let ignored = cold.ignored.as_ref().map_or(0, |ignored| ignored.len());
        (self.permissions, self.channels) =
            (self.permissions - permissions, self.channels - channels - ignored);
        // An allocation without a relayed address was never exported. If it was to be restored, its
        // record must not be deleted (H47).
        if reason != EndReason::BindFailed {
            self.changes.ended(cold.record, self.allocations.len());
        }
        for (index, address) in
            relays.bound().filter_map(|index| Some((index, addresses[usize::from(index)]?)))
        {
            self.effects.push_back(Effect::Release {
                relay: RelayId { allocation: id, index },
                bound: address.bound,
            });
        }
        self.effects.push_back(Effect::Ended(Ended {
            allocation: id,
            record: cold.record,
            client: five_tuple,
            credential: cold.credential,
            relayed: advertised,
            duration: cold.birth.age(now),
            traffic,
            reason,
        }));
    }
}
