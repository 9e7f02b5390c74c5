//! The wish of whoever started the program that it ends: Ctrl-C, and SIGTERM where there is such a
//! thing.

use std::io;

/// Resolves when the program shall end. Make one and keep it: a signal between two of them is lost.
///
/// # Errors
/// The signal cannot be waited for.
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
