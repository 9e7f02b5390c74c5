//! The decisions of a TURN server (RFC 8656): one [`Server`] per worker. No I/O, no clock, no lock.
//!
//! A datagram goes in, its verdict comes out, and the caller carries it out. Begin with
//! `server.rs`; then read `data.rs` for the data path, or `request/allocate.rs` for the first
//! request of a client.
//!
//! | where | what | source |
//! |---|---|---|
//! | `server.rs` | inputs, outputs, dispatch | RFC 8656 §5 |
//! | `verdict.rs`, `reason.rs` | the answer to each input | |
//! | `effect.rs` | requests to the caller that take time | |
//! | `data.rs`, `icmp.rs` | application data, ICMP errors | RFC 8656 §11, §12.6, §12.7 |
//! | `request/` | authentication, then one file per method | RFC 8656 §7.2, §8.2, §10.2, §12.2 |
//! | `allocation/` | records, their table, life and export | RFC 8656 §6 |
//! | `peers/` | permissions, channels, peer policy | RFC 8656 §9, §12, §21.3 |
//! | `memory/` | chunks, index, timer wheel, small map | |
//! | `config.rs`, `quota.rs` | limits | rows H30, H33, H35 |
//! | `ids.rs`, `address.rs`, `five_tuple.rs`, `now.rs` | names, addresses, time | |

mod address;
mod allocation;
mod config;
mod data;
mod effect;
mod five_tuple;
mod icmp;
mod ids;
mod memory;
mod now;
mod peers;
mod quota;
mod reason;
mod request;
mod server;
mod verdict;

pub use address::{AdvertisedAddress, BoundAddress, PeerAddress};
pub use allocation::Traffic;
pub use allocation::changes::Change;
pub use allocation::record::{AllocationRecord, ChannelRecord, PermissionRecord, RelayedRecord};
pub use allocation::relays::{BindFailure, RelayedTransportAddress};
pub use config::{Config, Families, Limits};
pub use effect::{Advertised, Command, Completion, Effect, EndReason, Ended, WantedPort};
pub use five_tuple::{FiveTuple, Transport};
pub use icmp::IcmpNotice;
pub use ids::{AllocationId, RelayId};
pub use now::Now;
pub use peers::permission::ChannelPermission;
pub use peers::policy::{Denied, DeniedPeers, OwnAddresses, PeerPolicy, Rule};
pub use peers::special::carried_ipv4;
pub use quota::{Ledger, Unlimited};
pub use request::answer::challenge_is_modest;
pub use request::keys::KeyAnswer;
pub use server::{Gauges, Server};
pub use verdict::{ClientVerdict, Discard, Notify, Prefix, Reply, Respond, ToClient, ToPeer};
