//! stund, a STUN server: Binding over UDP, TCP, TLS and DTLS (RFC 8489), NAT behaviour discovery
//! (RFC 5780), clients of RFC 3489.

mod config;
mod connections;
mod counters;
mod endpoint;
mod startup;
mod worker;

use std::process::ExitCode;

use causeway_daemon::service;

fn main() -> ExitCode {
    match config::load() {
        Ok(config) => service::main("stund", &config.log, || startup::run(&config)),
        Err(code) => code,
    }
}
