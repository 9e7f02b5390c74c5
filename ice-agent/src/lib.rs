//! The measuring side of Causeway: what a NAT does, whether a server works, whether two agents
//! reach each other.
//!
//! Each subcommand is a module with an `Args` (its command line) and a `run` that answers with a
//! [`verdict::Verdict`].
//!
//! - [`nat`]: mapping and filtering behaviour of the NATs on the path.
//! - [`check`]: one STUN or TURN server, step by step.
//! - [`connect`]: ICE between two agents, then numbered datagrams over the selected pair.
//! - [`rendezvous`]: where two agents find each other and trickle candidates.
//!
//! [`uri`] names a server, [`discovery`] finds its addresses, [`reach`] has the options for both;
//! [`credentials`], [`environment`], [`interrupt`] and [`net`] are shared too. [`output`] writes
//! reports, which [`redact`] makes fit to be shared.

mod arguments;
pub mod check;
pub mod connect;
pub mod credentials;
pub mod discovery;
pub mod environment;
pub mod interrupt;
pub mod nat;
pub mod output;
pub mod probe;
pub mod reach;
pub mod redact;
pub mod rendezvous;
mod table;
pub mod transport;
pub mod uri;
pub mod verdict;
