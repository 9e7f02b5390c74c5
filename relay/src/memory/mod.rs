//! Data structures that keep the records small, found in one step, and bounded.

pub(crate) mod chunks;
pub(crate) mod index;
pub(crate) mod interned;
pub(crate) mod moment;
pub(crate) mod small_map;
pub(crate) mod wheel;
