//! `turnd` itself, over UDP, TCP, TLS and DTLS on loopback: the program around the core conforms,
//! too.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

#[path = "daemon/backend.rs"]
mod backend;
#[path = "daemon/certificates.rs"]
mod certificates;
#[path = "daemon/conformance.rs"]
mod conformance;
#[path = "daemon/descriptors.rs"]
mod descriptors;
#[path = "daemon/flood.rs"]
mod flood;
#[path = "daemon/hairpin.rs"]
mod hairpin;
#[path = "daemon/hairpin_model.rs"]
mod hairpin_model;
#[path = "daemon/hellos.rs"]
mod hellos;
#[path = "daemon/known_clients.rs"]
mod known_clients;
#[path = "daemon/output.rs"]
mod output;
#[path = "daemon/ports.rs"]
mod ports;
#[path = "daemon/probes.rs"]
mod probes;
#[path = "daemon/proxy.rs"]
mod proxy;
#[path = "daemon/refusals.rs"]
mod refusals;
#[path = "daemon/relayed.rs"]
mod relayed;
#[path = "daemon/stream.rs"]
mod stream;
#[path = "daemon/turnd.rs"]
mod turnd;
