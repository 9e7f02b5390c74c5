//! The allocations of one worker, found by name or by 5-tuple. The hot records, which data looks
//! at, are kept apart from the cold ones.

use std::net::SocketAddr;

use ahash::RandomState;

use crate::address::{AdvertisedAddress, BoundAddress};
use crate::allocation::relays::{RelayedTransportAddress, Relays};
use crate::allocation::{Allocation, Cold, Host, Link, Relayed, Traffic};
use crate::effect::Advertised;
use crate::five_tuple::FiveTuple;
use crate::ids::AllocationId;
use crate::memory::chunks::Chunks;
use crate::memory::index::Index;
use crate::memory::interned::Interned;
use crate::memory::moment::Moment;
use crate::peers::Peers;

/// The allocations of one worker. Finding one by its id takes no lookup, by its 5-tuple one. The
/// hot records stand together, and so do the cold ones.
pub(crate) struct Allocations<G> {
    worker: u16,
    slots: Chunks<Allocation>,
    cold: Chunks<Option<Cold<G>>>,
    free: Vec<u32>,
    index: Index,
    hasher: RandomState,
    links: Interned<Link>,
    hosts: Interned<Host>,
}

/// An allocation as it enters and leaves the table.
pub(crate) struct Parts<G> {
    pub(crate) five_tuple: FiveTuple,
    pub(crate) relays: Relays,
    pub(crate) peers: Peers,
    pub(crate) traffic: Traffic,
    pub(crate) cold: Cold<G>,
}

impl<G> Allocations<G> {
    pub(crate) fn new(worker: u16) -> Self {
        Self {
            worker,
            slots: Chunks::new(),
            cold: Chunks::new(),
            free: Vec::new(),
            index: Index::default(),
            hasher: RandomState::new(),
            links: Interned::new(),
            hosts: Interned::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The allocation of a 5-tuple.
    #[inline]
    pub(crate) fn find(&self, five_tuple: &FiveTuple) -> Option<AllocationId> {
        self.slot(five_tuple).map(|slot| self.id(slot))
    }

    /// The allocation of a 5-tuple and its id, while one of its relayed addresses is live.
    #[inline]
    pub(crate) fn find_live_mut(
        &mut self,
        five_tuple: &FiveTuple,
        now: Moment,
    ) -> Option<(AllocationId, &mut Allocation)> {
        let slot = self.slot(five_tuple)?;
        let id = self.id(slot);
        let allocation = &mut self.slots[slot as usize];
        allocation.relays.any_live(now).then_some((id, allocation))
    }

    #[inline]
    fn slot(&self, five_tuple: &FiveTuple) -> Option<u32> {
        let is_it = |slot: u32| {
            let allocation = &self.slots[slot as usize];
            allocation.is_of(five_tuple, self.links.value(allocation.link))
        };
        self.index.find(self.hasher.hash_one(five_tuple), is_it)
    }

    #[inline]
    pub(crate) fn get(&self, id: AllocationId) -> Option<&Allocation> {
        self.slots
            .get(id.slot as usize)
            .filter(|allocation| allocation.generation == id.generation && id.worker == self.worker)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: AllocationId) -> Option<&mut Allocation> {
        let worker = self.worker;
        self.slots
            .get_mut(id.slot as usize)
            .filter(|allocation| allocation.generation == id.generation && id.worker == worker)
    }

    /// An allocation with its 5-tuple.
    #[inline]
    pub(crate) fn get_with_five_tuple(
        &mut self,
        id: AllocationId,
    ) -> Option<(&mut Allocation, FiveTuple)> {
        let worker = self.worker;
        let allocation = self.slots.get_mut(id.slot as usize)?;
        if allocation.generation != id.generation || id.worker != worker {
            return None;
        }
        let five_tuple = allocation.five_tuple(self.links.value(allocation.link));
        Some((allocation, five_tuple))
    }

    pub(crate) fn five_tuple(&self, id: AllocationId) -> Option<FiveTuple> {
        self.get(id).map(|allocation| allocation.five_tuple(self.links.value(allocation.link)))
    }

    pub(crate) fn cold(&self, id: AllocationId) -> Option<&Cold<G>> {
        self.get(id)?;
        self.cold[id.slot as usize].as_ref()
    }

    pub(crate) fn cold_mut(&mut self, id: AllocationId) -> Option<&mut Cold<G>> {
        self.get(id)?;
        self.cold[id.slot as usize].as_mut()
    }

    pub(crate) fn insert(&mut self, parts: Parts<G>) -> AllocationId {
        let Parts { five_tuple, relays, peers, traffic, cold } = parts;
        let link = self.links.hold(Link::of(&five_tuple));
        let mut allocation = Allocation::new(&five_tuple, link, relays, peers, traffic);
        let slot = match self.free.pop() {
            Some(slot) => {
                let place = slot as usize;
                allocation.generation = next(self.slots[place].generation);
                (self.slots[place], self.cold[place]) = (allocation, Some(cold));
                slot
            }
            None => {
                allocation.generation = next(allocation.generation);
                self.slots.push(allocation);
                self.cold.push(Some(cold));
                (self.slots.len() - 1) as u32
            }
        };
        self.index.insert(self.hasher.hash_one(five_tuple), slot);
        self.id(slot)
    }

    /// Removes an allocation and returns it.
    pub(crate) fn remove(&mut self, id: AllocationId) -> Option<Parts<G>> {
        let five_tuple = self.five_tuple(id)?;
        let cold = self.cold[id.slot as usize].take()?;
        self.index.remove(self.hasher.hash_one(five_tuple), id.slot);
        let allocation = &mut self.slots[id.slot as usize];
        allocation.generation = next(allocation.generation);
        self.links.release(allocation.link);
        cold.relayed.iter().flatten().for_each(|relayed| self.hosts.release(relayed.host));
        self.free.push(id.slot);
        let peers = std::mem::replace(&mut allocation.peers, Peers::new());
        Some(Parts {
            five_tuple,
            relays: allocation.relays,
            peers,
            traffic: allocation.traffic,
            cold,
        })
    }

    /// Stores a relayed address of an allocation.
    pub(crate) fn set_relayed(
        &mut self,
        id: AllocationId,
        index: u8,
        address: &RelayedTransportAddress,
    ) {
        let host = self
            .hosts
            .hold(Host { bound: address.bound.ip(), advertised: address.advertised.ip() });
        let relayed =
            Relayed { host, bound: address.bound.port(), advertised: address.advertised.port() };
        let place = self.cold_mut(id).and_then(|cold| cold.relayed.get_mut(usize::from(index)));
        let gone = place.map_or(Some(relayed), |place| place.replace(relayed));
        if let Some(gone) = gone {
            self.hosts.release(gone.host);
        }
    }

    /// A relayed address of an allocation, also after its release.
    pub(crate) fn relayed(&self, id: AllocationId, index: u8) -> Option<RelayedTransportAddress> {
        let relayed = (*self.cold(id)?.relayed.get(usize::from(index))?)?;
        let host = self.hosts.value(relayed.host);
        let (bound, advertised) = (
            BoundAddress(SocketAddr::new(host.bound, relayed.bound)),
            AdvertisedAddress(SocketAddr::new(host.advertised, relayed.advertised)),
        );
        Some(RelayedTransportAddress { bound, advertised })
    }

    /// All relayed addresses that an allocation has or has had, as advertised, IPv4 before IPv6.
    pub(crate) fn advertised(&self, id: AllocationId) -> Advertised {
        let mut advertised: Advertised = (0..2)
            .filter_map(|index| self.relayed(id, index))
            .map(|relayed| relayed.advertised)
            .collect();
        advertised.sort_unstable_by_key(|address| address.is_ipv6());
        advertised
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = AllocationId> {
        (0u32..)
            .zip(self.cold.iter())
            .filter(|(_, cold)| cold.is_some())
            .map(|(slot, _)| self.id(slot))
    }

    /// The hot records of all allocations.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Allocation> {
        self.slots.iter_mut().filter(|allocation| is_in_use(allocation.generation))
    }

    pub(crate) fn iter_cold_mut(&mut self) -> impl Iterator<Item = &mut Cold<G>> {
        self.cold.iter_mut().flatten()
    }

    #[inline]
    fn id(&self, slot: u32) -> AllocationId {
        AllocationId { worker: self.worker, slot, generation: self.slots[slot as usize].generation }
    }
}

/// The generation of a slot that is taken or freed: odd while it is in use, so that no id names an
/// empty slot.
fn next(generation: u32) -> u32 {
    (generation + 1) % AllocationId::GENERATIONS
}

fn is_in_use(generation: u32) -> bool {
    generation % 2 == 1
}
