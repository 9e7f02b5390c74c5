//! What every Causeway service shares on its control side: configuration, logs, the admin listener,
//! metrics, and how a process starts and ends. Nothing here is on the path of a packet.
//!
//! - [`config`]: file, environment, `--set` and flags into a service's own types.
//! - [`log`]: human or JSON lines, redaction of addresses, the authentication-failure event.
//! - [`addresses`]: the wait for addresses that the host does not have yet.
//! - [`admin`]: `/healthz`, `/readyz`, `/metrics` on a listener of their own.
//! - [`metrics`]: the sum of the workers' counters, taken when it is asked for.
//! - [`tls`]: certificates, kept up to date.
//! - [`lifecycle`]: signals, panics, exit codes.
//! - [`descriptors`]: the limit of open files, and what of it clients may take.
//! - [`memory`]: the memory limit, and what the sockets' buffers may take of it.
//! - [`service`]: the parts around a worker that every server has: listeners, TLS, threads, limits.
//! - [`workers`]: the keys of the packet side, `[net]`.
//!
//! A server's start and end are those that [`service`] describes.

pub mod addresses;
pub mod admin;
pub mod config;
pub mod descriptors;
pub mod lifecycle;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod service;
pub mod tls;
pub mod workers;
