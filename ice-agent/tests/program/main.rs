//! `ice-agent` as a process, and its library, against small servers on loopback with faults on
//! request. One program, so that its tests share these servers.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod check;
mod check_certificates;
mod check_support;
mod connect;
mod connect_rooms;
mod connect_support;
mod discovery;
mod hostile;
mod name_server;
mod names;
mod nat;
mod proxy;
mod redaction;
mod rendezvous;
mod resolution;
mod siege;
mod small_turn;
mod support;
mod tunnel;
