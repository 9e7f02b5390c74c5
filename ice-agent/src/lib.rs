//! The tests that `ice-agent` runs: what a NAT does, whether a server works, whether two agents can
//! reach each other.
//!
//! Each subcommand is a module with an `Args` (its command line) and a `run` that returns a
//! [`verdict::Verdict`].
//!
//! - [`nat`]: mapping and filtering behaviour of the NATs on the path.
//! - [`check`]: one STUN or TURN server, step by step.
//! - [`connect`]: ICE between two agents, then numbered datagrams over the selected pair.
//! - [`rendezvous`]: the server through which two agents find each other and trickle candidates.
//!
//! All of them share the rest: [`uri`] names a server, [`discovery`] finds its addresses, [`reach`]
//! has the options for both, [`transport`] opens connections, and [`probe`] sends one request.
//! [`output`] writes reports, and [`redact`] removes addresses and names from them.

#![allow(missing_docs, reason = "a library for this program's own tests, not a public interface")]

mod arguments;
pub mod check;
pub mod connect;
pub mod credentials;
pub mod discovery;
#[cfg(test)]
mod documented;
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
