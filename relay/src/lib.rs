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

mod allocation;
mod config;
mod data;
mod effect;
mod five_tuple;
mod icmp;
mod memory;
mod now;
mod peers;
mod quota;
mod request;
mod server;
mod verdict;

pub use allocation::Traffic;
pub use allocation::changes::Change;
pub use allocation::record::{AllocationRecord, ChannelRecord, PermissionRecord, RelayedRecord};
pub use allocation::relays::RelayedTransportAddress;
pub use allocation::table::AllocationId;
pub use config::{Config, Families, Limits};
pub use effect::{
    Advertised, BindFailure, Command, Completion, Effect, EndReason, Ended, RelayId, WantedPort,
};
pub use five_tuple::{FiveTuple, Transport};
pub use icmp::IcmpNotice;
pub use now::Now;
pub use peers::ignored::DeniedPeers;
pub use peers::permission::ChannelPermission;
pub use peers::policy::{Denied, OwnAddresses, PeerPolicy, Rule};
pub use peers::special::{DENIED_BY_DEFAULT, carried_ipv4};
pub use quota::{Ledger, Unlimited};
pub use request::answer::challenge_is_modest;
pub use request::keys::KeyAnswer;
pub use server::{Gauges, Server};
pub use verdict::{Discard, Prefix, Respond, Verdict};
