//! Messages from workers to a task of the control side. Worker code names no tokio type and cannot
//! wait by mistake.

use tokio::sync::mpsc;

/// Creates a bounded mailbox for messages from workers to a task of the control side. A sender
/// never waits.
pub(crate) fn inbox<T>(capacity: usize) -> (Outbox<T>, Inbox<T>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Outbox(sender), Inbox(receiver))
}

/// The sending end, for workers.
pub(crate) struct Outbox<T>(mpsc::Sender<T>);

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Outbox<T> {
    /// Sends a message.
    ///
    /// # Errors
    /// Returns the message if the mailbox is full or has no reader any more.
    pub(crate) fn send(&self, message: T) -> Result<(), T> {
        self.0.try_send(message).map_err(mpsc::error::TrySendError::into_inner)
    }
}

/// The receiving end, for the control side.
pub(crate) struct Inbox<T>(mpsc::Receiver<T>);

impl<T> Inbox<T> {
    /// Waits for the next message; `None` when no worker is left.
    pub(crate) async fn next(&mut self) -> Option<T> {
        self.0.recv().await
    }

    /// The next message that is already there.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}
