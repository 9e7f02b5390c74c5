//! Messages from workers to a task of the control side. Worker code names no tokio type and cannot
//! wait by mistake.

use tokio::sync::mpsc;

/// Letters from workers to a task of the control side: bounded, and a sender never waits.
pub(crate) fn inbox<T>(capacity: usize) -> (Outbox<T>, Inbox<T>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Outbox(sender), Inbox(receiver))
}

/// A worker's end.
pub(crate) struct Outbox<T>(mpsc::Sender<T>);

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Outbox<T> {
    /// Puts a letter in.
    ///
    /// # Errors
    /// Gives the letter back when the box is full or has no reader any more.
    pub(crate) fn send(&self, letter: T) -> Result<(), T> {
        self.0.try_send(letter).map_err(mpsc::error::TrySendError::into_inner)
    }
}

/// The control side's end.
pub(crate) struct Inbox<T>(mpsc::Receiver<T>);

impl<T> Inbox<T> {
    /// The next letter; `None` when no worker is left.
    pub(crate) async fn next(&mut self) -> Option<T> {
        self.0.recv().await
    }

    /// A letter that lies there already.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}
