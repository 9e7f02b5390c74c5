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
//! A service's `main` reads like this:
//!
//! ```no_run
//! use std::{io, process::ExitCode, sync::Arc}; use causeway_daemon::{admin::{Admin, AdminSettings,
//! Health}, descriptors::{self, Plan, Wanted}, lifecycle, log, metrics::Registry};
//!
//! struct Workers;
//! impl Health for Workers {
//!     fn health(&self) -> Result<(), String> { Ok(()) }
//!     fn readiness(&self) -> Result<(), String> { Ok(()) }
//! }
//!
//! fn run(admin: &AdminSettings) -> io::Result<()> { let limit = descriptors::raise_limit(); let
//! admin = Admin::bind(admin, false)?; // and every other listener: what is in use ends the start
//! let wanted = Wanted { workers: 1, relayed: None, connections: 10_000 }; let _plan =
//! Plan::new(limit, &wanted)?; // its budget is for the workers' loops // … start the workers … let
//! metrics = Registry::new("turnd", env!("CARGO_PKG_VERSION"), vec![]); let runtime =
//! tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
//! runtime.block_on(async { let termination = lifecycle::Termination::install()?;
//! tokio::spawn(log::report_suppressed()); if let Some(admin) = admin {
//! tokio::spawn(admin.serve(Arc::new(Workers), metrics)); } termination.requested().await;
//! io::Result::Ok(()) })?; // … stop the workers … Ok(()) }
//!
//! fn main() -> ExitCode { let settings = AdminSettings { listen: None, token: None }; //
//! `config::start` in a real one let level = "info".parse().expect("a level"); let settings_of_log
//! = log::Log { format: log::Format::Human, level, redact: log::RedactKind::None };
//! lifecycle::abort_on_panic(); if let Err(error) = log::init(&settings_of_log) {
//! causeway_cli::complain(error); return lifecycle::EXIT_FAILURE.into(); }
//! lifecycle::exit_code(run(&settings)) }
//! ```

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
