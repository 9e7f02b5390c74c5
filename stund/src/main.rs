//! The STUN server.

mod config;

use std::process::ExitCode;

use causeway_daemon::{lifecycle, log};

fn main() -> ExitCode {
    let config = match config::load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    if let Err(error) = log::init(&config.log) {
        eprintln!("stund: {error}");
        return lifecycle::EXIT_FAILURE.into();
    }
    lifecycle::abort_on_panic();
    lifecycle::exit_code(Ok::<(), std::io::Error>(()))
}
