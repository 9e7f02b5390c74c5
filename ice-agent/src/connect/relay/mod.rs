//! Relayed candidates: one task for each TURN server, which holds the allocation as long as the
//! call lasts.

mod task;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use causeway_client::Allocated;
use causeway_wire::Transport;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::gathering::Problem;
use crate::credentials::Credentials;
use crate::reach::Reach;
use crate::uri::ServerUri;

/// Commands under way; a call that is faster loses datagrams, as a network would.
const MAX_COMMANDS: usize = 1024;
/// Longest wait for the end of the task, a little more than it waits for the server.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// What the call wants from a relay.
#[derive(Debug)]
pub(super) enum RelayCommand {
    /// Let this peer in.
    Permit(IpAddr),
    /// Data to this peer goes over a channel.
    Bind(SocketAddr),
    /// Send to this peer.
    Send(SocketAddr, Vec<u8>),
}

/// What a relay makes known.
#[derive(Debug)]
pub(super) enum RelayEvent {
    /// There is an allocation.
    Allocated {
        /// Which relay.
        relay: usize,
        /// What the server allocated.
        allocated: Allocated,
        /// How the server is reached.
        transport: Transport,
    },
    /// There will be no candidate from this server, or no longer.
    Ended {
        /// Which relay.
        relay: usize,
    },
    /// Something failed; the rest goes on.
    Problem(Problem),
    /// A peer's datagram.
    Datagram {
        /// Where the peer sent it.
        relayed: SocketAddr,
        /// The peer.
        peer: SocketAddr,
        /// What.
        data: Vec<u8>,
    },
}

/// The call's end of a relay. When it is dropped, the task deletes the allocation and ends.
#[derive(Debug)]
pub(super) struct Relay {
    commands: mpsc::Sender<RelayCommand>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Begins to allocate at `server`; `relay` names it in the events.
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

    /// Tells the relay. What it cannot take is lost.
    pub(super) fn command(&self, command: RelayCommand) {
        let _ = self.commands.try_send(command);
    }

    /// Deletes the allocation (RFC 8656 §8.1) and waits for it, not for long.
    pub(super) async fn close(self) {
        drop(self.commands);
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.task).await;
    }
}
