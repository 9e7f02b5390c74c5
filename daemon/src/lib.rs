//! What every Causeway service shares on its control side: configuration, logs, the admin listener, metrics, and how a
//! process starts and ends. Nothing here is on the path of a packet.
//!
//! - [`config`]: file, environment, `--set` and flags into a service's own types.
//! - [`log`]: human or JSON lines, redaction of addresses, the authentication-failure event.
//! - [`admin`]: `/healthz`, `/readyz`, `/metrics` on a listener of their own.
//! - [`metrics`]: the sum of the workers' counters, taken when it is asked for.
//! - [`lifecycle`]: signals, panics, exit codes, the descriptor limit.

pub mod admin;
pub mod config;
pub mod lifecycle;
pub mod log;
pub mod metrics;
pub mod workers;
