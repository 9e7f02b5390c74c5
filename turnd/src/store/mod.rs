//! What the server has in Redis, and what happens when Redis is away: [`persistence`] claims the
//! node's name and restores, [`restoration`] sorts what was found, [`journal`] collects a worker's
//! changes, [`directory`] hands those of all workers to the writer, [`registry`] reports the node to
//! the fleet, [`keys`] looks users up, and [`nonces`] derives nonce keys from the fleet's key.

pub(crate) mod directory;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod nonces;
pub(crate) mod persistence;
pub(crate) mod registry;
pub(crate) mod restoration;
