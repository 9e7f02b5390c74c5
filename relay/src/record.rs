use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{Credential, Protection};
use causeway_wire::{ChannelNumber, TransactionId};
use rand::CryptoRng;
use smallvec::SmallVec;

use crate::allocation::{Allocation, Cold, Traffic};
use crate::allocations::AllocationId;
use crate::changes::Change;
use crate::channel::Channels;
use crate::effect::{Advertised, Effect, RelayId, WantedPort};
use crate::five_tuple::FiveTuple;
use crate::ledger::Ledger;
use crate::now::Now;
use crate::permission::Permissions;
use crate::relays::{RelayedTransportAddress, Relays};
use crate::server::Server;

/// All there is to know of an allocation, with times as what remains of them: it serves restore, take-over and mobility alike.
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
    /// The lifetime that was granted last.
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
    /// What [`adopt`](Self::adopt) needs to bring an allocation back; `None` when there is none of that name, or it is not made yet.
    #[must_use]
    pub fn export(&self, now: Now, id: AllocationId) -> Option<AllocationRecord> {
        let allocation = self.allocations.get(id).filter(|allocation| allocation.relays.is_ready())?;
        let left = |expires: Duration| expires.saturating_sub(now.monotonic);
        let relays = &allocation.relays;
        // One of two may have expired unvisited; of one that has expired whole, all is told.
        let is_over = relays.last_expiry() <= now.monotonic;
        let relayed = relays.bound().filter(|(index, _)| is_over || relays.is_live(*index, now.monotonic));
        let relayed = relayed.map(|(index, address)| RelayedRecord { address, time_to_expiry: left(relays.expiry(index)) });
        let permissions = allocation.permissions.iter().filter(|(_, expires)| **expires > now.monotonic);
        let channels = allocation.channels.iter().filter(|(_, channel)| channel.expires > now.monotonic);
        Some(AllocationRecord {
            id: allocation.cold.record,
            five_tuple: allocation.five_tuple,
            credential: Arc::clone(&allocation.cold.credential),
            protection: allocation.cold.protection,
            transaction: allocation.cold.transaction,
            age: allocation.age(now.monotonic),
            lifetime: allocation.cold.lifetime,
            relayed: relayed.collect(),
            permissions: permissions.map(|(peer, expires)| PermissionRecord { peer: *peer, time_to_expiry: left(*expires) }).collect(),
            channels: channels
                .map(|(number, channel)| ChannelRecord { number: *number, peer: channel.peer, time_to_expiry: left(channel.expires) })
                .collect(),
            traffic: allocation.traffic,
        })
    }

    /// What has changed since it was last asked, one thing at a time; nothing unless [`Config::track_changes`](crate::Config) is set.
    #[must_use]
    pub fn poll_change(&mut self) -> Option<Change> {
        loop {
            let change = self.changes.next()?;
            match change {
                Change::Ended(_) => return Some(change),
                Change::Everything => {
                    self.allocations.iter_mut().for_each(|allocation| allocation.cold.unwritten = false);
                    return Some(change);
                }
                Change::Changed(id) => {
                    if let Some(allocation) = self.allocations.get_mut(id) {
                        allocation.cold.unwritten = false;
                        return Some(change);
                    }
                }
            }
        }
    }

    /// Notes every allocation as changed: a directory that was lost is to be written anew.
    pub fn offer_all(&mut self) {
        for id in self.allocation_ids().collect::<Vec<_>>() {
            self.note_change(id);
        }
    }

    /// How many changes wait for [`poll_change`](Self::poll_change).
    #[must_use]
    pub fn unwritten(&self) -> usize {
        self.changes.len()
    }

    /// Notes that an allocation is to be written.
    pub(crate) fn note_change(&mut self, id: AllocationId) {
        let live = self.allocations.len();
        if let Some(allocation) = self.allocations.get_mut(id) {
            self.changes.changed(id, &mut allocation.cold.unwritten, live);
        }
    }

    /// The allocations of this worker.
    pub fn allocation_ids(&self) -> impl Iterator<Item = AllocationId> + '_ {
        self.allocations.iter().map(|(id, _)| id)
    }

    /// Brings an allocation back: its relayed sockets are asked for at their old addresses, and when they stand it goes on as if nothing had
    /// been, without the permissions and channels that the policy refuses by now. `None` when it has expired, has no relayed address, or its
    /// 5-tuple or its user's quota is taken.
    pub fn adopt(&mut self, now: Now, record: &AllocationRecord) -> Option<AllocationId> {
        let taken = self.allocations.find(&record.five_tuple).is_some();
        let relayed: SmallVec<[&RelayedRecord; 2]> = record.relayed.iter().filter(|relayed| !relayed.time_to_expiry.is_zero()).collect();
        if taken || !(1..=2).contains(&relayed.len()) {
            return None;
        }
        let quota = self.ledger.try_acquire(record.credential.quota_name())?;
        let relays = relayed.iter().map(|relayed| (relayed.address.family(), now.after(relayed.time_to_expiry)));
        let relays = Relays::binding(relays);
        let mut permissions = Permissions::new();
        // The policy may be another than the one that they were made under (H3).
        let policy = &self.config.policy;
        for permission in record.permissions.iter().filter(|permission| policy.check_address(permission.peer).is_ok()) {
            permissions.install(permission.peer, now.after(permission.time_to_expiry));
        }
        let mut channels = Channels::new();
        for channel in record.channels.iter().filter(|channel| policy.check_transport(channel.peer).is_ok()) {
            channels.bind(channel.number, channel.peer, now.after(channel.time_to_expiry));
        }
        let cold = Cold {
            credential: Arc::clone(&record.credential),
            _quota: quota,
            transaction: record.transaction,
            fingerprint: false,
            protection: record.protection,
            reservation: None,
            deletion: None,
            advertised: Advertised::new(),
            created: now.monotonic,
            age_before: record.age,
            lifetime: record.lifetime,
            visit: 0,
            record: record.id,
            unwritten: false,
            answer_pending: false,
        };
        let (five_tuple, traffic) = (record.five_tuple, record.traffic);
        let allocation = Allocation { five_tuple, relays, permissions, channels, traffic, cold: Box::new(cold) };
        let id = self.admit(allocation, now.monotonic);
        for (index, relayed) in (0u8..).zip(relayed) {
            let (family, port) = (relayed.address.family(), WantedPort::Exactly(relayed.address.bound));
            let (relay, credential) = (RelayId { allocation: id, index }, Arc::clone(&record.credential));
            self.effects.push_back(Effect::Bind { relay, family, port, credential });
        }
        Some(id)
    }
}
