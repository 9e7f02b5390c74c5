//! The relayed ports of this process: [`pool`] lends them, [`reservations`] holds some for a second
//! Allocate, [`holders`] knows which allocation has which, [`sockets`] finds their sockets, and
//! [`ephemeral`] warns where other programs may take them.

pub(crate) mod ephemeral;
pub(crate) mod holders;
pub(crate) mod pool;
pub(crate) mod reservations;
pub(crate) mod sockets;
