//! The start and the end of a process: exit codes, signals, panics.

use std::io;
use std::process::ExitCode;

pub use causeway_cli::EXIT_USAGE;
use tokio::signal::unix::{SignalKind, signal};

/// The process stopped as requested.
pub const EXIT_OK: u8 = 0;
/// The process failed at its start or later: a port in use, a lost resource, a second signal.
pub const EXIT_FAILURE: u8 = 1;

/// The signals that stop a service. Created inside a tokio runtime, before the first port is open.
pub struct Termination {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Termination {
    /// Replaces the default actions of SIGTERM, SIGINT and SIGHUP, which would end the process at
    /// once. SIGHUP makes the server read its certificates again ([`crate::tls::follow`]); without
    /// certificates it has no effect.
    ///
    /// # Errors
    /// The operating system refuses the signal handlers.
    pub fn install() -> io::Result<Self> {
        // The handler stays installed after this value is dropped.
        drop(signal(SignalKind::hangup())?);
        Ok(Termination {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    /// Runs a long part of the start; `None` if a signal requests the end first.
    pub async fn unless_requested<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            name = self.next() => {
                tracing::info!(signal = name, "stopping before the start is complete");
                None
            }
        }
    }

    /// Waits for the first signal and returns its name. A second signal then ends the process at
    /// once with [`EXIT_FAILURE`]: the operator does not want to wait for a clean end.
    pub async fn requested(mut self) -> &'static str {
        let name = self.next().await;
        tracing::info!(signal = name, "ending; a second signal ends at once");
        tokio::spawn(async move {
            let name = self.next().await;
            tracing::warn!(signal = name, "ending at once");
            crate::log::flush();
            std::process::exit(EXIT_FAILURE.into());
        });
        name
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}

/// Makes a panic on any thread abort the process, after it is logged with its place. If the process
/// continued without a worker, that worker's calls would hang.
pub fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let backtrace = std::backtrace::Backtrace::capture();
        if crate::log::is_initialised() {
            tracing::error!(thread = name, place, message, %backtrace, "panic; aborting");
            crate::log::flush();
        } else {
            causeway_cli::complain(format_args!(
                "panic in thread {name} at {place}: {message}; aborting\n{backtrace}"
            ));
        }
        std::process::abort();
    }));
}

/// The exit code for a service's outcome, and the last call of a `main`: logs the error and flushes
/// the log.
pub fn exit_code<E: std::fmt::Display>(outcome: Result<(), E>) -> ExitCode {
    let code = match outcome {
        Ok(()) => EXIT_OK,
        Err(error) => {
            tracing::error!("{error}");
            EXIT_FAILURE
        }
    };
    crate::log::say_suppressed();
    crate::log::flush();
    code.into()
}
