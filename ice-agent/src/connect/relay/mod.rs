//! Relayed candidates: one task for each TURN server, which keeps the allocation while the call
//! lasts.

mod message;
mod task;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::credentials::Credentials;
use crate::reach::Reach;
use crate::uri::ServerUri;

pub(super) use message::{RelayCommand, RelayEvent};

/// Maximum number of queued commands; beyond that, datagrams are dropped, as a network would.
const MAX_COMMANDS: usize = 1024;
/// Maximum wait for the end of the task, a little longer than it waits for the server.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// The call's handle to a relay. When it is dropped, the task deletes the allocation and ends.
#[derive(Debug)]
pub(super) struct Relay {
    commands: mpsc::Sender<RelayCommand>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Starts the task for a server; `relay` is its index in the events.
    #[must_use]
    pub(super) fn start<E: From<RelayEvent> + Send + 'static>(
        relay: usize,
        server: ServerUri,
        reach: Arc<Reach>,
        credentials: Option<Credentials>,
        events: mpsc::Sender<E>,
    ) -> Self {
        let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
        let task = tokio::spawn(
            task::RelayTask::new(relay, server, reach, credentials, events, receiver).run(),
        );
        Self { commands, task }
    }

    /// Queues a command; drops it if the queue is full.
    pub(super) fn command(&self, command: RelayCommand) {
        let _ = self.commands.try_send(command);
    }

    /// Deletes the allocation (RFC 8656 §8.1) and waits for that, up to three seconds.
    pub(super) async fn close(self) {
        drop(self.commands);
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.task).await;
    }
}
