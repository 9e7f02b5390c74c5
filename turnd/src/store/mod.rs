//! The server's use of Redis, and what happens when Redis is away: [`persistence`] claims the
//! node's name and restores, [`restoration`] sorts the records that it found, [`journal`] collects
//! a worker's changes, [`directory`] passes those of all workers to the writer, [`registry`]
//! reports the node to the fleet, [`keys`] looks users up, and [`nonces`] derives nonce keys from
//! the fleet's key. While Redis is away, the store crate's writer retries, and packets are relayed
//! as before.

pub(crate) mod directory;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod nonces;
pub(crate) mod persistence;
pub(crate) mod registry;
pub(crate) mod restoration;
