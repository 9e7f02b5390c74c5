use ahash::AHashMap;

use crate::allocation::Allocation;
use crate::five_tuple::FiveTuple;

/// Names an allocation for ever: a slot that is used again has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllocationId {
    /// The worker that owns it.
    pub worker: u16,
    /// Its place in the worker's table.
    pub slot: u32,
    /// Counts the uses of the place.
    pub generation: u32,
}

impl AllocationId {
    /// Generations begin anew after so many, a power of two: so few bits are enough for one wherever it stands beside something else.
    pub const GENERATIONS: u32 = 1 << 30;
}

impl std::fmt::Display for AllocationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.worker, self.slot, self.generation)
    }
}

/// The allocations of one worker; 5-tuples are indices to them.
pub(crate) struct Allocations<G> {
    worker: u16,
    slots: Vec<Slot<G>>,
    free: Vec<u32>,
    by_five_tuple: AHashMap<FiveTuple, AllocationId>,
}

struct Slot<G> {
    generation: u32,
    allocation: Option<Allocation<G>>,
}

impl<G> Allocations<G> {
    pub(crate) fn new(worker: u16) -> Self {
        Self { worker, slots: Vec::new(), free: Vec::new(), by_five_tuple: AHashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn find(&self, five_tuple: &FiveTuple) -> Option<AllocationId> {
        self.by_five_tuple.get(five_tuple).copied()
    }

    pub(crate) fn get(&self, id: AllocationId) -> Option<&Allocation<G>> {
        let slot = self.slots.get(id.slot as usize).filter(|slot| slot.generation == id.generation && id.worker == self.worker)?;
        slot.allocation.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: AllocationId) -> Option<&mut Allocation<G>> {
        let worker = self.worker;
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation && id.worker == worker)?;
        slot.allocation.as_mut()
    }

    pub(crate) fn insert(&mut self, allocation: Allocation<G>) -> AllocationId {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, allocation: None });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[place as usize];
        let id = AllocationId { worker: self.worker, slot: place, generation: slot.generation };
        self.by_five_tuple.insert(allocation.five_tuple, id);
        slot.allocation = Some(allocation);
        id
    }

    pub(crate) fn remove(&mut self, id: AllocationId) -> Option<Allocation<G>> {
        self.get(id)?;
        let slot = &mut self.slots[id.slot as usize];
        slot.generation = (slot.generation + 1) % AllocationId::GENERATIONS;
        let allocation = slot.allocation.take()?;
        self.free.push(id.slot);
        if self.by_five_tuple.get(&allocation.five_tuple) == Some(&id) {
            self.by_five_tuple.remove(&allocation.five_tuple);
        }
        Some(allocation)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (AllocationId, &Allocation<G>)> {
        (0u32..).zip(&self.slots).filter_map(|(place, slot)| {
            let id = AllocationId { worker: self.worker, slot: place, generation: slot.generation };
            slot.allocation.as_ref().map(|allocation| (id, allocation))
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Allocation<G>> {
        self.slots.iter_mut().filter_map(|slot| slot.allocation.as_mut())
    }
}
