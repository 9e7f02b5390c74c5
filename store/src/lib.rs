//! The state that outlives the process: the directory of allocations, users and secrets,
//! accounting.
//!
//! Only the control side calls a [`Directory`], never a worker: a store that is slow, full or away
//! costs the control side timeouts and costs a packet nothing (H45). The store holds *state*, not
//! events: the owner of an allocation keeps it marked as changed until it was written, and after an
//! outage every allocation is offered again and compared. So an outage of any length loses nothing,
//! and no queue grows.
//!
//! | noun | file | |
//! |---|---|---|
//! | record, a public format | `record/` | all data of an allocation, encoded and sealed |
//! | fleet key | `fleet_key.rs` | the secret behind the keys of nonces, tickets and seals |
//! | node, incarnation, lock | `node.rs`, `lock.rs` | one writer for the records of one node |
//! | directory, change | `directory.rs` | the interface that changes are written to |
//! | its implementations | `memory.rs`, `redis/` | the embedded default; Redis |
//! | writer, status | `writer/`, `status.rs` | the task that writes changes; its state |
//! | accounting | `accounting.rs` | the only queue, bounded |
//! | users | `users/` | keys and REST secrets from Redis, cached |
//!
//! `docs/store.md` has the formats and the layout of the keys.

mod accounting;
mod directory;
mod error;
mod fleet_key;
mod lock;
mod memory;
mod node;
mod record;
mod redis;
mod status;
mod users;
mod writer;

pub use accounting::{Account, Accounting, Event};
pub use directory::{Change, Directory, Inspection, NodeReport, Outcome, Restored};
pub use error::{ErrorKind, StoreError};
pub use fleet_key::{EPOCH, FleetKey, Purpose, Subkey, WeakFleetKey, epoch_at};
pub use lock::{LockError, NodeLock};
pub use memory::Memory;
pub use node::{BadNodeId, Incarnation, NodeId};
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
