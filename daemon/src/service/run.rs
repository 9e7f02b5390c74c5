//! The control side of a server, from its first line to its exit code.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::threads::Threads;
use crate::addresses::{self, Named};
use crate::admin::{Admin, Health};
use crate::descriptors::Plan;
use crate::lifecycle::{self, Termination};
use crate::log::{self, Log};
use crate::metrics::Registry;
use crate::workers::Net;

/// A server's `main` after its configuration has been read: starts the log, runs, and turns the
/// outcome into an exit code. `name` is that of the program.
pub fn main<E: Display>(name: &str, log: &Log, run: impl FnOnce() -> Result<(), E>) -> ExitCode {
    if let Err(error) = log::init(log) {
        causeway_cli::complain(format_args!("{name}: {error}"));
        return lifecycle::EXIT_FAILURE.into();
    }
    lifecycle::abort_on_panic();
    let code = lifecycle::exit_code(run().map_err(|error| format!("{error:#}")));
    log::flush();
    code
}

/// The runtime of the control side. One thread is enough, since no packet of a client passes
/// through it.
///
/// # Errors
/// The operating system refuses it.
pub fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        let text = format!("cannot make the control side's runtime: {error}");
        io::Error::new(error.kind(), text)
    })
}

/// Installs the signal handlers, and then waits for the addresses that the configuration names.
/// `None` when a signal ends the program first. Signals come before the first port is open: a
/// supervisor that waits for the port may end the program at once.
///
/// # Errors
/// The operating system refuses the handlers, or this host does not get the addresses in time.
pub async fn begin(named: &[Named], net: &Net) -> io::Result<Option<Termination>> {
    let mut termination = Termination::install().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot install the signal handlers: {error}"))
    })?;
    let outcome = termination.unless_requested(addresses::wait(named, net)).await;
    outcome.transpose().map_err(io::Error::other).map(|ready| ready.map(|()| termination))
}

/// A server whose workers run.
pub struct Running<M> {
    /// The admin listener, if there is one.
    pub admin: Option<Admin>,
    /// How the limit of open files is divided.
    pub plan: Plan,
    /// The workers, which take messages of type `M`.
    pub threads: Threads<M>,
}

impl<M: Send + 'static> Running<M> {
    /// Answers operators until a signal asks for the end.
    ///
    /// # Errors
    /// A worker's loop or the admin listener has failed, and the server must end.
    pub async fn serve(
        &mut self,
        termination: Termination,
        health: Arc<dyn Health>,
        metrics: Registry,
    ) -> io::Result<()> {
        let Self { admin, plan, threads } = self;
        let connections = plan.admin_connections();
        let admin = admin.take();
        if let Some(admin) = &admin {
            tracing::info!(address = %admin.local_addr()?, "admin listener");
        }
        // A task of its own: it answers until the process ends, also while the workers stop.
        let mut admin = tokio::spawn(async move {
            let Some(mut admin) = admin else { return std::future::pending().await };
            admin.limit_connections(connections);
            admin.serve(health, metrics).await
        });
        tokio::spawn(log::report_suppressed());
        tokio::spawn(plan.clone().report_refusals());
        tracing::info!(workers = threads.count(), "ready");
        // Last: what ran before runs no more, and its pages are not needed again.
        causeway_net::release_startup_pages();
        tokio::select! {
            _ = termination.requested() => Ok(()),
            error = threads.failed() => {
                tracing::error!(%error, "a worker has ended; the others end too");
                Err(error)
            }
            result = &mut admin => result.map_err(io::Error::other)?,
        }
    }
}
