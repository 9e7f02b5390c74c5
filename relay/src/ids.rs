//! The names of allocations and of their relayed addresses.

/// Names an allocation for ever: a slot that is used again has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllocationId {
    /// The worker that owns it.
    pub worker: u16,
    /// Its place in the worker's table.
    pub slot: u32,
    /// Counts the uses of the place, below [`AllocationId::GENERATIONS`].
    pub generation: u32,
}

impl AllocationId {
    /// Generations begin anew after so many, a power of two: so few bits are enough for one
    /// wherever it stands beside something else.
    pub const GENERATIONS: u32 = 1 << 30;
}

impl std::fmt::Display for AllocationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.worker, self.slot, self.generation)
    }
}

/// One relayed address of an allocation: it may have two, one a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RelayId {
    /// The allocation.
    pub allocation: AllocationId,
    /// 0 or 1.
    pub index: u8,
}
