//! The TURN relay (RFC 8656): configuration, everything bound, workers, the control side, the end.

mod accounts;
mod capacity;
mod config;
mod connections;
mod control;
mod counters;
mod crossing;
mod directory;
mod ephemeral;
mod inbox;
mod journal;
mod keys;
mod known_clients;
mod listeners;
mod nonces;
mod peer_policy;
mod persistence;
mod port_pool;
mod proxied;
mod quota;
mod records;
mod registry;
mod relay_sockets;
mod relayed;
mod reservations;
mod restoration;
mod secure;
mod startup;
mod tally;
mod worker;

use std::process::ExitCode;

use causeway_daemon::{lifecycle, log};

fn main() -> ExitCode {
    let config = match config::load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    if let Err(error) = log::init(&config.log) {
        causeway_cli::complain(format_args!("turnd: {error}"));
        return lifecycle::EXIT_FAILURE.into();
    }
    lifecycle::abort_on_panic();
    let outcome = control::runtime().and_then(|runtime| {
        let mut termination = control::termination(&runtime)?;
        if !control::has_addresses(&config, &runtime, &mut termination)? {
            return Ok(());
        }
        control::run(startup::start(&config, &runtime)?, &runtime, termination)
    });
    let code = lifecycle::exit_code(outcome.map_err(|error| format!("{error:#}")));
    log::flush();
    code
}
