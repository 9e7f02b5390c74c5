//! The real `stund` on loopback. One program, so that its tests share the steps of the clients.

#![allow(clippy::unwrap_used)] // a panic is how a test reports

mod associations;
mod binding;
mod certificates;
mod command_line;
mod connections;
mod limiter;
mod nat_discovery;
mod process;
mod proxy;
mod support;
