//! What outlives the process: the directory of allocations, users and secrets, accounting.
//!
//! A call to [`Directory`] is made on the control side, never by a worker: a store that is slow,
//! full or gone costs the control side timeouts and a packet nothing (H45). What the store holds is
//! *state*, not events: whoever owns an allocation keeps it marked as changed until it was written,
//! and after an outage everything is offered again and compared. So nothing is lost in an outage of
//! any length, and no queue grows.
//!
//! | noun | file | |
//! |---|---|---|
//! | record, a public format | `record/` | what an allocation needs to come back; encoded and sealed |
//! | fleet key | `fleet_key.rs` | the secret that the keys for nonces, tickets and seals are derived from |
//! | node, lock, incarnation | `node.rs`, `lock.rs`, `incarnation.rs` | one writer for one node's records |
//! | change, directory | `change.rs`, `directory.rs` | what is written, and to whom |
//! | the two homes | `memory.rs`, `redis/` | the embedded default; Redis |
//! | writer, status | `writer/`, `status.rs` | the task that pulls changes and writes them; what it says of itself |
//! | accounting | `accounting.rs` | the one queue, bounded |
//! | users | `users/` | keys and REST secrets from Redis, cached |
//!
//! `docs/store.md` has the formats and the layout of the keys.

mod accounting;
mod change;
mod directory;
mod error;
mod fleet_key;
mod incarnation;
mod lock;
mod memory;
mod node;
mod record;
mod redis;
mod status;
mod users;
mod writer;

pub use accounting::{Account, Accounting, Event};
pub use change::Change;
pub use directory::{Directory, Inspection, NodeReport, Outcome, Restored};
pub use error::{ErrorKind, StoreError};
pub use fleet_key::{EPOCH, FleetKey, Purpose, Subkey, WeakFleetKey, epoch_at};
pub use incarnation::Incarnation;
pub use lock::{LockError, NodeLock};
pub use memory::Memory;
pub use node::{BadNodeId, NodeId};
pub use record::{
    ChannelRecord, Credential, FiveTuple, KeyAlgorithm, LongTermKey, PermissionRecord, Record,
    RecordError, RecordId, RelayedAddress, Sealer, Traffic, Transport,
};
pub use redis::{Redis, RedisSettings};
pub use status::{State, Status, StatusReport};
pub use users::{
    Lookup, Protection, RestSecret, Unavailable, UserKeys, Users, UsersReport, UsersSettings,
};
pub use writer::{Backlog, Source, Writer, WriterSettings};
