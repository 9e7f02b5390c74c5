//! The admin listener: what a supervisor and a metrics collector ask, and nothing that changes
//! anything.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200, or 503 with the reason: the process should be restarted |
//! | `/readyz` | 200, or 503 with the reason: send no new clients here |
//! | `/metrics` | the classic Prometheus text, or OpenMetrics text where `Accept` asks for it |
//!
//! It listens on loopback unless told otherwise, and asks for a bearer token on any other address
//! (H41). No call takes a path, a query or a body. Connections, the size of a request and its time
//! are bounded: it stands on the control side of a server that strangers may try to exhaust. Half
//! requests keep no probe out: the oldest one is closed to make room (H53).

mod bearer;
mod places;
mod routes;
mod serve;
mod settings;

pub use routes::{Health, STALE_HEARTBEAT, heartbeat_problem};
pub use serve::Admin;
pub(crate) use serve::CONNECTIONS;
pub use settings::{AdminListen, AdminSchema, AdminSettings};
