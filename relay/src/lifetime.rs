use std::sync::Arc;
use std::time::Duration;

use rand::CryptoRng;

use crate::allocation::Allocation;
use crate::allocations::AllocationId;
use crate::effect::{Effect, EndReason, Ended, RelayId};
use crate::five_tuple::FiveTuple;
use crate::ledger::Ledger;
use crate::server::Server;

/// An allocation is looked through for expired permissions and channels at least this often.
const VISIT: Duration = Duration::from_secs(60);

/// From an allocation's admission to its end.
impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// The live allocation of a 5-tuple. What has expired and was not visited yet ends here, so that it is never used.
    pub(crate) fn live(&mut self, five_tuple: &FiveTuple, now: Duration) -> Option<AllocationId> {
        let id = self.allocations.find(five_tuple)?;
        if self.allocations.get(id)?.relays.last_expiry() > now {
            self.release_expired(id, now);
            return Some(id);
        }
        self.end(id, now, EndReason::Expired);
        None
    }

    /// Takes away the relayed address of a dual allocation that has expired while the other one goes on.
    pub(crate) fn release_expired(&mut self, id: AllocationId, now: Duration) {
        let expired = self.allocations.get(id).filter(|allocation| allocation.relays.next_expiry() <= now).and_then(|allocation| {
            let relays = &allocation.relays;
            relays.bound().map(|(index, _)| index).find(|index| !relays.is_live(*index, now))
        });
        if let Some(index) = expired {
            self.release(id, index);
        }
    }

    /// Takes one of two relayed addresses away, with the permissions and channels of its family: "it MUST NOT affect any permissions or
    /// channels associated with allocations for the other address family" (RFC 8656 §8.1).
    pub(crate) fn release(&mut self, id: AllocationId, index: u8) {
        let bound = self.change(id, |allocation| {
            let address = allocation.relays.remove(index);
            allocation.drop_unserved();
            address.map(|address| address.bound)
        });
        if let Some(bound) = bound.flatten() {
            self.effects.push_back(Effect::Release { relay: RelayId { allocation: id, index }, bound });
            self.note_change(id);
        }
    }

    /// Changes an allocation and keeps the gauges true.
    pub(crate) fn change<T>(&mut self, id: AllocationId, change: impl FnOnce(&mut Allocation<L::Guard>) -> T) -> Option<T> {
        let allocation = self.allocations.get_mut(id)?;
        let (permissions, channels) = (allocation.permissions.len(), allocation.channels.len());
        let result = change(allocation);
        self.permissions = self.permissions + allocation.permissions.len() - permissions;
        self.channels = self.channels + allocation.channels.len() - channels;
        Some(result)
    }

    /// Enters an allocation into the table, the counts and the wheel.
    pub(crate) fn admit(&mut self, allocation: Allocation<L::Guard>, now: Duration) -> AllocationId {
        self.prefixes.add(allocation.five_tuple.client.ip());
        self.permissions += allocation.permissions.len();
        self.channels += allocation.channels.len();
        let id = self.allocations.insert(allocation);
        self.schedule(id, now);
        id
    }

    /// Has the wheel visit an allocation in time. An earlier visit that was planned becomes void.
    pub(crate) fn schedule(&mut self, id: AllocationId, now: Duration) {
        if let Some(allocation) = self.allocations.get_mut(id) {
            allocation.cold.visit = self.wheel.insert(now, allocation.relays.next_expiry().min(now.saturating_add(VISIT)), id);
        }
    }

    /// The only way out of the table: the relayed sockets are released, the quota is given back by the drop (H30).
    pub(crate) fn end(&mut self, id: AllocationId, now: Duration, reason: EndReason) {
        let Some(allocation) = self.allocations.remove(id) else { return };
        self.prefixes.remove(allocation.five_tuple.client.ip());
        self.permissions -= allocation.permissions.len();
        self.channels -= allocation.channels.len();
        self.changes.ended(allocation.cold.record, self.allocations.len());
        for (index, relay) in allocation.relays.bound() {
            self.effects.push_back(Effect::Release { relay: RelayId { allocation: id, index }, bound: relay.bound });
        }
        self.effects.push_back(Effect::Ended(Ended {
            allocation: id,
            record: allocation.cold.record,
            client: allocation.five_tuple,
            credential: Arc::clone(&allocation.cold.credential),
            relayed: allocation.cold.advertised.clone(),
            duration: allocation.age(now),
            traffic: allocation.traffic,
            reason,
        }));
    }
}
