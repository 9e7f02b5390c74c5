//! Logs: one line per event on standard error, as text or JSON, through a bounded queue.
//!
//! A worker that logs never waits for the reader of the log: lines go to a thread of their own, and
//! are dropped and counted when it cannot keep up. Addresses are shown through [`redacted`].

mod auth_failure;
mod queue;
mod rate;
mod redact;
mod refusal;
mod settings;

use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

pub(crate) use auth_failure::say_suppressed;
pub use auth_failure::{
    AUTH_FAILURE, AuthFailure, auth_failure, auth_failures_suppressed, report_suppressed,
};
pub use redact::{RedactKind, Redacted, Redaction, redacted};
pub use refusal::{LimitedAnswers, REFUSAL, Refusal, RefusalReason, refusal};
pub use settings::{Filter, Format, Log};

use queue::Queue;

static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Modules that write a line whenever a stranger pleases, such as one for each alert of an unknown
/// client. An operator who wants them names them in the filter, which overrides this.
const NOISY: &str = "rustls=off";

/// Starts logging with the settings `log`, once per process.
///
/// # Errors
/// Logging was started before, or the log's thread cannot be started.
pub fn init(log: &Log) -> Result<(), std::io::Error> {
    let queue = Queue::start(std::io::stderr())?;
    let again = || std::io::Error::other("logging was started before");
    QUEUE.set(queue.clone()).map_err(|_| again())?;
    redact::install(log.redact.redaction());
    let filter = EnvFilter::builder().parse_lossy(format!("{NOISY},{}", log.level.as_str()));
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(queue).with_ansi(false);
    let outcome = match log.format {
        Format::Human => subscriber.try_init(),
        Format::Json => subscriber.json().flatten_event(true).with_current_span(false).try_init(),
    };
    outcome.map_err(|_| again())
}

/// Whether [`init`] was called.
pub(crate) fn is_initialised() -> bool {
    QUEUE.get().is_some()
}

/// Waits until the lines logged so far are written, at most a second. The last call of a `main`.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(std::time::Duration::from_secs(1));
    }
}

/// Number of log lines dropped because their reader was too slow.
pub fn lines_dropped() -> u64 {
    QUEUE.get().map_or(0, Queue::dropped)
}
