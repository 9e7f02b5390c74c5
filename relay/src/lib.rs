//! The TURN server's decisions: one [`Server`] for one worker; no I/O, no clock, no lock.
//!
//! | noun | file | source |
//! |---|---|---|
//! | the server: inputs, outputs, dispatch | `server.rs` | RFC 8656 §5 |
//! | what is decided | `verdict.rs`, `effect.rs` | |
//! | allocation, its table, 5-tuple | `allocation.rs`, `allocations.rs`, `five_tuple.rs` | RFC 8656 §6 |
//! | from its admission to its end | `lifetime.rs` | RFC 8656 §6 |
//! | its relayed addresses, and their sockets | `relays.rs`, `binding.rs` | RFC 8656 §6, RFC 8656 §7.2 |
//! | permission, channel; both of a peer in place | `permission.rs`, `channel.rs`, `peers.rs` | RFC 8656 §9, §12 |
//! | requests | `request.rs`, `known.rs`, `allocate.rs`, `wanted.rs`, `refresh.rs`, `create_permission.rs`, `channel_bind.rs` | RFC 8656 §7.2, §8.2, §10.2, §12.2 |
//! | keys that are asked for, requests that wait for them | `keys.rs`, `parked.rs` | |
//! | data, and what ICMP says of it | `data.rs`, `icmp.rs` | RFC 8656 §11, §12.6, §12.7 |
//! | which peers are allowed | `policy.rs`, `special.rs` | RFC 8656 §21.3, rows H1 to H8 |
//! | limits | `ledger.rs`, `prefix.rs`, `refusals.rs`, `config.rs` | rows H30, H33 |
//! | answers to addresses that may be forged | `unproven.rs` | row H11 |
//! | time | `now.rs`, `moment.rs`, `wheel.rs` | |
//! | what keeps the records small and found | `chunks.rs`, `index.rs`, `interned.rs`, `small_map.rs` | |
//! | records | `record.rs` | restore, take-over, mobility |

mod allocate;
mod allocation;
mod allocations;
mod answer;
mod binding;
mod changes;
mod channel;
mod channel_bind;
mod chunks;
mod config;
mod create_permission;
mod data;
mod denied;
mod effect;
mod five_tuple;
mod icmp;
mod index;
mod interned;
mod keys;
mod known;
mod ledger;
mod lifetime;
mod moment;
mod now;
mod parked;
mod peers;
mod permission;
mod policy;
mod prefix;
mod record;
mod refresh;
mod refusals;
mod relays;
mod request;
mod server;
mod small_map;
mod special;
mod unproven;
mod verdict;
mod wanted;
mod wheel;

pub use allocation::Traffic;
pub use allocations::AllocationId;
pub use answer::challenge_is_modest;
pub use changes::Change;
pub use config::{Config, Families, Limits};
pub use denied::DeniedPeers;
pub use effect::{
    Advertised, BindFailure, Command, Completion, Effect, EndReason, Ended, RelayId, WantedPort,
};
pub use five_tuple::{FiveTuple, Transport};
pub use icmp::IcmpNotice;
pub use keys::KeyAnswer;
pub use ledger::{Ledger, Unlimited};
pub use now::Now;
pub use permission::ChannelPermission;
pub use policy::{Denied, OwnAddresses, PeerPolicy, Rule};
pub use record::{AllocationRecord, ChannelRecord, PermissionRecord, RelayedRecord};
pub use relays::RelayedTransportAddress;
pub use server::{Gauges, Server};
pub use special::{DENIED_BY_DEFAULT, carried_ipv4};
pub use verdict::{Discard, Prefix, Respond, Verdict};
