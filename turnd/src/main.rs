//! The TURN relay (RFC 8656): configuration, everything bound, workers, the control side, the end.

mod accounts;
mod capacity;
mod clients;
mod config;
mod control;
mod counters;
mod inbox;
mod listeners;
mod mail;
mod peer_policy;
mod ports;
mod records;
mod secure;
mod startup;
mod store;
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
