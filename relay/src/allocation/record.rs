use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{Credential, Protection};
use causeway_wire::{ChannelNumber, TransactionId};
use rand::CryptoRng;
use smallvec::SmallVec;

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

/// All there is to know of an allocation, with times as what remains of them: it serves restore,
/// take-over and mobility alike.
#[derive(Clone, Debug)]
pub struct AllocationRecord {
    /// Names the record in the directory: random, and the same over restarts.
    pub id: u64,
    /// The client.
    pub five_tuple: FiveTuple,
    /// Who made it.
    pub credential: Arc<Credential>,
    /// How that was shown.
    pub protection: Protection,
    /// The Allocate request that made it.
    pub transaction: TransactionId,
    /// How long it has lived.
    pub age: Duration,
    /// The lifetime that was granted: last or, where it is more, what is left of an earlier grant
    /// to the other one of two addresses.
    pub lifetime: Duration,
    /// Its relayed addresses: one, or two of different families.
    pub relayed: Vec<RelayedRecord>,
    /// Its permissions.
    pub permissions: Vec<PermissionRecord>,
    /// Its channels.
    pub channels: Vec<ChannelRecord>,
    /// What it has relayed.
    pub traffic: Traffic,
}

/// A relayed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayedRecord {
    /// The address.
    pub address: RelayedTransportAddress,
    /// What is left of it.
    pub time_to_expiry: Duration,
}

/// A permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermissionRecord {
    /// The peer's address.
    pub peer: IpAddr,
    /// What is left of it.
    pub time_to_expiry: Duration,
}

/// A channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Its number.
    pub number: ChannelNumber,
    /// The peer.
    pub peer: SocketAddr,
    /// What is left of it.
    pub time_to_expiry: Duration,
}

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// What [`adopt`](Self::adopt) needs to bring an allocation back; `None` when there is none of
    /// that name, or it is not made yet.
    #[must_use]
    pub fn export(&self, now: Now, id: AllocationId) -> Option<AllocationRecord> {
        let allocation =
            self.allocations.get(id).filter(|allocation| allocation.relays.is_ready())?;
        let cold = self.allocations.cold(id)?;
        let left = |expires: Moment| expires.left(now.monotonic);
        let (relays, moment, peers) = (&allocation.relays, now.moment(), allocation.peers.tables());
        // One of two may have expired unvisited; of one that has expired whole, all is told.
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

    /// What has changed since it was last asked, one thing at a time; nothing unless
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

    /// Notes every allocation as changed, for a comparison of the whole directory. What
    /// [`Change::Everything`] would have told is covered by that comparison.
    pub fn offer_all(&mut self) {
        self.allocations.iter_cold_mut().for_each(|cold| cold.unwritten = true);
        self.changes.offer(self.allocations.ids());
    }

    /// How much of the latest [`offer_all`](Self::offer_all) [`poll_change`](Self::poll_change) has
    /// not told yet.
    #[must_use]
    pub fn offer_left(&self) -> usize {
        self.changes.offer_left()
    }

    /// How many changes wait for [`poll_change`](Self::poll_change); more than none while there is
    /// anything to tell.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        self.changes.len()
    }

    /// Notes that the allocation of this 5-tuple, if there is one, is to be written again: what
    /// stands beside it in the directory has changed.
    pub fn rewrite(&mut self, five_tuple: &FiveTuple) {
        if let Some(id) = self.allocations.find(five_tuple) {
            self.note_change(id);
        }
    }

    /// Notes every allocation as changed, beside what is noted already.
    pub fn note_all(&mut self) {
        for id in self.allocation_ids().collect::<Vec<_>>() {
            self.note_change(id);
        }
    }

    /// Notes that an allocation is to be written.
    pub(crate) fn note_change(&mut self, id: AllocationId) {
        let live = self.allocations.len();
        if let Some(cold) = self.allocations.cold_mut(id) {
            self.changes.changed(id, &mut cold.unwritten, live);
        }
    }

    /// The allocations of this worker.
    pub fn allocation_ids(&self) -> impl Iterator<Item = AllocationId> + '_ {
        self.allocations.ids()
    }

    /// Brings an allocation back: its relayed sockets are asked for at their old addresses, and
    /// when they stand it goes on as if nothing had been, without the permissions and channels
    /// that the policy refuses by now. `None` when it has expired, has no relayed address, or its
    /// 5-tuple or its user's quota is taken.
    pub fn adopt(&mut self, now: Now, record: &AllocationRecord) -> Option<AllocationId> {
        let taken = self.allocations.find(&record.five_tuple).is_some();
        let relayed: SmallVec<[&RelayedRecord; 2]> =
            record.relayed.iter().filter(|relayed| !relayed.time_to_expiry.is_zero()).collect();
        if taken || !(1..=2).contains(&relayed.len()) {
            return None;
        }
        let quota = self.quota(&record.credential)?;
        // The record's times are another clock's: none counts for more than was granted (H49), and
        // none is shortened below it.
        let granted =
            |relayed: &RelayedRecord| now.after(relayed.time_to_expiry.min(record.lifetime));
        let relays = relayed.iter().map(|relayed| (relayed.address.family(), granted(relayed)));
        let relays = Relays::binding(relays);
        let mut tables = Tables::new();
        // The policy may be another than the one that they were made under (H3).
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
