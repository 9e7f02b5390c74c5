//! The names of allocations and of their relayed addresses.

/// Names an allocation: a slot that is used again has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllocationId {
    /// The worker that owns it.
    pub worker: u16,
    /// The slot in the worker's table.
    pub slot: u32,
    /// The number of uses of the slot, below [`AllocationId::GENERATIONS`].
    pub generation: u32,
}

impl AllocationId {
    /// Generations wrap around at this number, a power of two: 30 bits are enough wherever a
    /// generation is packed beside something else.
    pub const GENERATIONS: u32 = 1 << 30;
}

impl std::fmt::Display for AllocationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.worker, self.slot, self.generation)
    }
}

/// One relayed address of an allocation, which may have two, one per family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RelayId {
    /// The allocation that it belongs to.
    pub allocation: AllocationId,
    /// Its index in the allocation: 0 or 1.
    pub index: u8,
}
