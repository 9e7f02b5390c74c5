//! The TURN relay (RFC 8656): configuration, everything bound, workers, the control side, the end.

mod accounts;
mod capacity;
mod clients;
mod config;
mod control;
mod counters;
mod inbox;
mod mail;
mod peer_policy;
mod ports;
mod records;
mod startup;
mod store;
mod worker;

use std::process::ExitCode;

use causeway_daemon::service;

fn main() -> ExitCode {
    match config::load() {
        Ok(config) => service::main("turnd", &config.log, || startup::run(&config)),
        Err(code) => code,
    }
}
