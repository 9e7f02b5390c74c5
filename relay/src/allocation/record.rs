//! Export and adoption of allocations: for restarts, take-over and mobility alike.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{Credential, Protection};
use causeway_wire::{ChannelNumber, TransactionId};
use rand::CryptoRng;
use smallvec::SmallVec;

use crate::address::PeerAddress;
use crate::allocation::changes::Change;
use crate::allocation::millis;
use crate::allocation::relays::{RelayedTransportAddress, Relays};
use crate::allocation::table::Parts;
use crate::allocation::{Birth, Cold, Traffic};
use crate::effect::{Effect, WantedPort};
use crate::five_tuple::FiveTuple;
use crate::ids::{AllocationId, RelayId};
use crate::memory::moment::Moment;
use crate::now::Now;
use crate::peers::{Peers, Tables, channel, permission};
use crate::quota::Ledger;
use crate::request::answer::seconds;
use crate::request::refusals::Budget;
use crate::server::Server;

/// Everything that [`Server::adopt`] needs to restore an allocation. Times are the remaining ones.
#[derive(Clone, Debug)]
pub struct AllocationRecord {
    /// The id of the record in the directory: random, and unchanged by restarts.
    pub id: u64,
    /// The 5-tuple of the client.
    pub five_tuple: FiveTuple,
    /// The credential of the user that made it.
    pub credential: Arc<Credential>,
    /// The protection of the request that made it.
    pub protection: Protection,
    /// The transaction id of that request.
    pub transaction: TransactionId,
    /// The time since it was made.
    pub age: Duration,
    /// The lifetime granted last; or, if longer, the rest of an earlier grant to the other one of
    /// two addresses.
    pub lifetime: Duration,
    /// Its relayed addresses: one, or two of different families.
    pub relayed: Vec<RelayedRecord>,
    /// The live permissions.
    pub permissions: Vec<PermissionRecord>,
    /// The live channels.
    pub channels: Vec<ChannelRecord>,
    /// The data that it has relayed.
    pub traffic: Traffic,
}

/// The record of a relayed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayedRecord {
    /// The address, bound and advertised.
    pub address: RelayedTransportAddress,
    /// The remaining lifetime.
    pub time_to_expiry: Duration,
}

/// The record of a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermissionRecord {
    /// The IP address of the peer.
    pub peer: IpAddr,
    /// The remaining lifetime.
    pub time_to_expiry: Duration,
}

/// The record of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelRecord {
    /// The channel number.
    pub number: ChannelNumber,
    /// The transport address of the peer.
    pub peer: PeerAddress,
    /// The remaining lifetime.
    pub time_to_expiry: Duration,
}

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// The record of an allocation, for [`adopt`](Self::adopt). `None` if there is no such
    /// allocation, or it is still being made.
    #[must_use]
    pub fn export(&self, now: Now, id: AllocationId) -> Option<AllocationRecord> {
        let allocation =
            self.allocations.get(id).filter(|allocation| allocation.relays.is_ready())?;
        let cold = self.allocations.cold(id)?;
        let left = |expires: Moment| expires.left(now.monotonic);
        let (relays, moment, peers) = (&allocation.relays, now.moment(), allocation.peers.tables());
        // One of two addresses may have expired without a visit; if both have, export both.
        let is_over = !relays.any_live(moment);
        let relayed = relays.bound().filter(|index| is_over || relays.is_live(*index, moment));
        let relayed =
            relayed.filter_map(|index| Some((index, self.allocations.relayed(id, index)?)));
        let relayed = relayed.map(|(index, address)| RelayedRecord {
            address,
            time_to_expiry: left(relays.expiry(index)),
        });
        let relayed: Vec<_> = relayed.collect();
        // In whole seconds, as it is kept.
        let longest = relayed
            .iter()
            .map(|relayed| u64::from(seconds(relayed.time_to_expiry)))
            .max()
            .unwrap_or_default();
        let permissions = peers.permissions.iter().filter(|(_, expires)| expires.is_after(moment));
        let channels =
            peers.channels.iter().filter(|(_, channel)| channel.expires.is_after(moment));
        Some(AllocationRecord {
            id: cold.record,
            five_tuple: self.allocations.five_tuple(id)?,
            credential: Arc::clone(&cold.credential),
            protection: cold.protection,
            transaction: cold.transaction,
            age: cold.birth.age(now.monotonic),
            lifetime: cold.lifetime().max(Duration::from_secs(longest)),
            relayed,
            permissions: permissions
                .map(|(peer, expires)| PermissionRecord {
                    peer: *peer,
                    time_to_expiry: left(*expires),
                })
                .collect(),
            channels: channels
                .map(|(number, channel)| ChannelRecord {
                    number: *number,
                    peer: channel.peer,
                    time_to_expiry: left(channel.expires),
                })
                .collect(),
            traffic: allocation.traffic,
        })
    }

    /// The next change that was not returned yet. Always `None` unless
    /// [`Config::track_changes`](crate::Config) is set.
    #[must_use]
    pub fn poll_change(&mut self) -> Option<Change> {
        loop {
            let change = self.changes.next()?;
            match change {
                Change::Ended(_) => return Some(change),
                Change::Everything => {
                    self.allocations.iter_cold_mut().for_each(|cold| cold.unwritten = false);
                    return Some(change);
                }
                Change::Changed(id) => {
                    if let Some(cold) = self.allocations.cold_mut(id) {
                        cold.unwritten = false;
                        return Some(change);
                    }
                }
            }
        }
    }

    /// Notes every allocation as changed, for a comparison of the whole directory, which also
    /// covers [`Change::Everything`].
    pub fn offer_all(&mut self) {
        self.allocations.iter_cold_mut().for_each(|cold| cold.unwritten = true);
        self.changes.offer(self.allocations.ids());
    }

    /// How many allocations of the latest [`offer_all`](Self::offer_all)
    /// [`poll_change`](Self::poll_change) has not returned yet.
    #[must_use]
    pub fn offer_left(&self) -> usize {
        self.changes.offer_left()
    }

    /// Number of changes that wait for [`poll_change`](Self::poll_change).
    #[must_use]
    pub fn unwritten(&self) -> usize {
        self.changes.len()
    }

    /// Notes that the allocation of this 5-tuple, if there is one, has to be written again: other
    /// fields of its record have changed.
    pub fn rewrite(&mut self, five_tuple: &FiveTuple) {
        if let Some(id) = self.allocations.find(five_tuple) {
            self.note_change(id);
        }
    }

    /// Notes every allocation as changed, in addition to the changes noted already.
    pub fn note_all(&mut self) {
        for id in self.allocation_ids().collect::<Vec<_>>() {
            self.note_change(id);
        }
    }

    /// Notes that an allocation has to be written.
    pub(crate) fn note_change(&mut self, id: AllocationId) {
        let live = self.allocations.len();
        if let Some(cold) = self.allocations.cold_mut(id) {
            self.changes.changed(id, &mut cold.unwritten, live);
        }
    }

    /// The ids of all allocations of this worker.
    pub fn allocation_ids(&self) -> impl Iterator<Item = AllocationId> + '_ {
        self.allocations.ids()
    }

    /// Restores an allocation: its relayed sockets are to be bound at their old addresses, and then
    /// it continues unchanged, but for permissions and channels that the policy denies by now.
    /// `None` if it has expired, has no relayed address, or its 5-tuple or its user's quota is
    /// taken.
    pub fn adopt(&mut self, now: Now, record: &AllocationRecord) -> Option<AllocationId> {
        let taken = self.allocations.find(&record.five_tuple).is_some();
        let relayed: SmallVec<[&RelayedRecord; 2]> =
            record.relayed.iter().filter(|relayed| !relayed.time_to_expiry.is_zero()).collect();
        if taken || !(1..=2).contains(&relayed.len()) {
            return None;
        }
        let quota = self.quota(&record.credential)?;
        // The times of the record are from another clock: none may exceed the granted one (H49),
        // and none is shortened otherwise.
        let granted =
            |relayed: &RelayedRecord| now.after(relayed.time_to_expiry.min(record.lifetime));
        let relays = relayed.iter().map(|relayed| (relayed.address.family(), granted(relayed)));
        let relays = Relays::binding(relays);
        let mut tables = Tables::new();
        // The policy may differ from the one under which they were made (H3).
        let policy = &self.config.policy;
        for permission in record
            .permissions
            .iter()
            .filter(|permission| policy.check_address(permission.peer).is_ok())
        {
            tables.permissions.install(
                permission.peer,
                now.after(permission.time_to_expiry.min(permission::LIFETIME)),
            );
        }
        for channel in
            record.channels.iter().filter(|channel| policy.check_transport(channel.peer).is_ok())
        {
            tables.channels.bind(
                channel.number,
                channel.peer,
                now.after(channel.time_to_expiry.min(channel::LIFETIME)),
            );
        }
        let cold = Cold {
            credential: Arc::clone(&record.credential),
            _quota: quota,
            transaction: record.transaction,
            fingerprint: false,
            protection: record.protection,
            reservation: None,
            deletion: None,
            relayed: [None; 2],
            birth: Birth::new(now.monotonic, record.age),
            lifetime: millis(record.lifetime),
            visit: 0,
            record: record.id,
            shown_under: None,
            refusals: Budget::default(),
            ignored: None,
            unwritten: false,
            answer_pending: false,
        };
        let (five_tuple, traffic) = (record.five_tuple, record.traffic);
        let mut peers = Peers::new();
        peers.change(|new| *new = tables);
        let id = self.admit(Parts { five_tuple, relays, peers, traffic, cold }, now.monotonic);
        for (index, relayed) in (0u8..).zip(relayed) {
            let (family, port) =
                (relayed.address.family(), WantedPort::Exactly(relayed.address.bound));
            let (relay, credential) =
                (RelayId { allocation: id, index }, Arc::clone(&record.credential));
            self.effects.push_back(Effect::Bind { relay, family, port, credential });
        }
        Some(id)
    }
}
