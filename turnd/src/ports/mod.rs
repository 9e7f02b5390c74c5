//! The relayed ports of this process: [`pool`] allocates them, [`reservations`] keeps some for a
//! second Allocate, [`holders`] maps them to allocations, [`sockets`] maps allocations to sockets,
//! and [`ephemeral`] warns if other programs may take relayed ports.

pub(crate) mod ephemeral;
pub(crate) mod holders;
pub(crate) mod pool;
pub(crate) mod reservations;
pub(crate) mod sockets;
