//! A laboratory of real NATs: Linux network namespaces joined by veth pairs, translated by
//! nftables.
//!
//! ```text
//!                 internet (a router; private destinations vanish here)
//!                /            |                    \
//!   public server        NAT box of site 0     NAT box of site 1 (or none: a public host)
//!   two addresses             |                    |
//!                        client 10.0.0.2      client 192.168.1.2
//! ```
//!
//! [`Lab::new`] builds it for the given [`NatKind`]s, [`Lab::of`] for other kinds of
//! access ([`Access`]: IPv6, two NATs, narrow firewalls, an HTTP proxy), [`Lab::behind_one_nat`] for
//! two clients behind one NAT. The lab is removed when dropped, also on panic; the next run removes
//! what a killed run left behind. [`observe()`] proves by packets what a NAT does, [`punch`] whether two sites can reach each other directly, and
//! [`theory`] says what they should.
//!
//! [`Process`] runs real programs inside, for this suite and others: [`services`] are the
//! workspace's servers on the public host, [`recognition`] is `ice-agent nat` at a site, [`call`]
//! is `ice-agent connect` at two, [`matrix`] what came of it for every two kinds. [`webrtc`] and
//! [`telephone`] are clients that others wrote, [`metrics`] is what `turnd` counted.
//!
//! It needs root, `ip` (iproute2) and `nft` (nftables); [`requirements`] names what is missing.
//! Nothing leaves the namespaces: the lab's "public" addresses are only numbers.

mod access;
pub mod agent;
pub mod call;
pub mod certificates;
pub mod durable;
mod error;
mod firewall;
mod link;
pub mod matrix;
pub mod metrics;
mod namespace;
mod nat;
pub mod observe;
mod parallel;
mod plan;
mod probe;
mod proxy;
pub mod punch;
pub mod recognition;
mod requirements;
pub mod rules;
pub mod services;
mod shared;
mod site;
mod sockets;
pub mod telephone;
pub mod theory;
mod topology;
pub mod webrtc;

pub use access::Access;
pub use causeway_kit::program::find as binary;
pub use causeway_kit::{Finished, Process, Scratch};
pub use error::LabError;
pub use namespace::{LabName, Namespace, sweep_leftovers};
pub use nat::{Behaviour, Filtering, Mapping, NatKind, UdpBehaviour};
pub use observe::observe;
pub use parallel::parallel;
pub use probe::{Arrival, TcpListenerProbe, UdpProbe, tcp_connect};
pub use proxy::HttpProxy;
pub use requirements::requirements;
pub use shared::Inside;
pub use site::{Host, NatBox, Site};
pub use sockets::{Transport, wait_port};
pub use topology::Lab;
