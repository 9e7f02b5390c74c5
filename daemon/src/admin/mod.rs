//! The admin listener: read-only answers for a supervisor and a metrics collector.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200, or 503 with the reason: the process should be restarted |
//! | `/readyz` | 200, or 503 with the reason: send no new clients here |
//! | `/metrics` | the classic Prometheus text, or OpenMetrics text where `Accept` asks for it |
//!
//! It listens on loopback by default, and requires a bearer token on any other address (H41). No
//! request has parameters in its path, query or body. The number of connections, the size of a
//! request and its time are bounded, since strangers may try to exhaust the server. Incomplete
//! requests do not keep a probe out: the oldest one is closed to make room (H53).

mod bearer;
mod routes;
mod serve;
mod settings;
mod slots;

pub use routes::{Health, STALE_HEARTBEAT, heartbeat_problem};
pub use serve::Admin;
pub(crate) use serve::CONNECTIONS;
pub use settings::{AdminListen, AdminSchema, AdminSettings};
