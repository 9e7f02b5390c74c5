//! Requests to end the program: Ctrl-C, and SIGTERM on Unix.

use std::io;

/// Resolves when the program should end. Keep one future for the whole run: a signal that arrives
/// between two of them is lost.
///
/// # Errors
/// The signal handler cannot be installed.
pub async fn interrupted() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupt = tokio::signal::ctrl_c() => interrupt,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
