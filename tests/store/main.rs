//! Calls through the real `turnd` with a real Redis beside it: they outlive a crash of the one and
//! any trouble of the other. All on loopback, without privileges; `redis-server` must be installed.
//!
//! Run it with `cargo xtask test store`, which prints the gap of each call. It runs one test at a
//! time, so that the tests do not disturb each other's measurements.

#![allow(clippy::print_stdout)] // measurements, for a run by hand

mod accounts;
mod aiortc;
mod call;
mod crash;
mod damage;
mod eviction;
mod names;
mod outage;
mod proxied;
mod redis_server;
mod registry;
mod relay;
mod rest;
mod talk;
mod two_servers;
mod users;
