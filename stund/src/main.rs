//! stund, a STUN server: Binding over UDP, TCP, TLS and DTLS (RFC 8489), NAT behaviour discovery
//! (RFC 5780), clients of RFC 3489.
//!
//! Logging, configuration, bind everything (a port in use ends the start), run, end.

mod config;
mod connections;
mod control;
mod counts;
mod endpoint;
mod secure;
mod worker;

use std::io;
use std::process::ExitCode;

use causeway_daemon::addresses;
use causeway_daemon::admin::Admin;
use causeway_daemon::descriptors;
use causeway_daemon::lifecycle::{self, Termination};
use causeway_daemon::log;

use config::Config;
use control::Workers;

fn main() -> ExitCode {
    let config = match config::load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    if let Err(error) = log::init(&config.log) {
        causeway_cli::complain(format_args!("stund: {error}"));
        return lifecycle::EXIT_FAILURE.into();
    }
    lifecycle::abort_on_panic();
    let code = lifecycle::exit_code(run(&config));
    log::flush();
    code
}

/// Everything between a good configuration and the exit code.
fn run(config: &Config) -> io::Result<()> {
    let limit = descriptors::raise_limit();
    // One thread is enough: nothing of a client's passes through here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the first port is open: whoever waits for that may end us.
        let mut termination = Termination::install()?;
        match termination.unless_requested(addresses::wait(&config.addresses(), &config.net)).await
        {
            None => return Ok(()),
            Some(outcome) => outcome.map_err(io::Error::other)?,
        }
        let admin = Admin::bind(&config.admin, config.net.freebind)?;
        let sockets = endpoint::bind(config)?;
        let mut workers = Workers::start(config, limit, sockets)?;
        tracing::info!(workers = config.net.workers, "ready");
        tokio::spawn(workers.plan().clone().report_refusals());
        tokio::spawn(log::report_suppressed());
        let admin = serve(admin, &workers);
        let outcome = tokio::select! {
            _ = termination.requested() => Ok(()),
            error = workers.failed() => Err(error),
            result = admin => result,
        };
        workers.stop();
        tracing::info!("ended");
        outcome
    })
}

/// Answers on the admin listener, or waits for ever if there is none.
fn serve(admin: Option<Admin>, workers: &Workers) -> impl Future<Output = io::Result<()>> + use<> {
    let (health, metrics, connections) =
        (workers.health(), workers.metrics(), workers.plan().admin_connections());
    async move {
        let Some(mut admin) = admin else { return std::future::pending().await };
        admin.limit_connections(connections);
        admin.serve(health, metrics).await
    }
}
