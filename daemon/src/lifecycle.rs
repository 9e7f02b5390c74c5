//! How a process starts and ends: exit codes, signals, panics.

use std::io;
use std::process::ExitCode;

pub use causeway_cli::EXIT_USAGE;
use tokio::signal::unix::{SignalKind, signal};

/// It ran and ended as it was asked to.
pub const EXIT_OK: u8 = 0;
/// It failed while starting or running: a port in use, a lost resource, a second signal.
pub const EXIT_FAILURE: u8 = 1;

/// The signals that end a service. Made inside a tokio runtime, before the service opens for
/// clients.
pub struct Termination {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Termination {
    /// Takes SIGTERM, SIGINT and SIGHUP from their default, which would end the process on the
    /// spot. SIGHUP asks for certificates to be read again ([`crate::tls::follow`]); where
    /// there are none, it asks for nothing.
    ///
    /// # Errors
    /// The operating system refuses the signal handlers.
    pub fn install() -> io::Result<Self> {
        // Once taken, it stays so.
        drop(signal(SignalKind::hangup())?);
        Ok(Termination {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    /// Does a part of the start that takes long; `None` when a signal asks for the end first.
    pub async fn unless_requested<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            name = self.next() => {
                tracing::info!(signal = name, "ending before the start is complete");
                None
            }
        }
    }

    /// Waits for the first signal and names it. A second one, from then on, ends the process at
    /// once with [`EXIT_FAILURE`]: whoever sends it does not want to wait for a clean end.
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

/// Makes a panic on any thread end the process: logged with its place, then `abort`. A worker that
/// is gone while its process lives on would be calls that nobody relays.
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

/// The exit code for a service's outcome: the last thing that a `main` calls. An error is logged,
/// and the log is completed.
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
