//! Messages to worker threads, and how the control side sends them. A module of its own, below
//! both the worker that reads them and the tasks that write them.

use std::time::Duration;

use causeway_net::mailbox::{Sender, Undelivered};
use causeway_relay::{Command, KeyAnswer};
use tokio::sync::oneshot;

use crate::accounts::Last;
use crate::records::Left;

/// How long to wait before a full mailbox is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// A message to a worker thread.
pub(crate) enum Mail {
    /// Stop the event loop.
    Stop,
    /// Send changes for the store.
    Changes {
        /// Maximum number of changes.
        limit: usize,
    },
    /// Send all allocations for a comparison with the store.
    OfferAll {
        /// Number of the comparison.
        round: u64,
    },
    /// Restore this allocation of the previous process, which was read late, if its place is free.
    Adopt(Box<Left>),
    /// The answer of the store to a question for a user's key.
    Key {
        /// Name of the user.
        username: Box<str>,
        /// The key, or why there is none.
        answer: KeyAnswer,
    },
    /// A command of the operator or of the store.
    Command(Command),
    /// The server stops: send the last accounting entries.
    Leave(oneshot::Sender<Last>),
    /// Another worker has put datagrams into a lane to this one.
    Lanes,
}

/// Sends `command` to every worker, waiting while a mailbox is full.
pub(crate) async fn tell_all(workers: &[Sender<Mail>], command: &Command) {
    for worker in workers {
        tell(worker, Mail::Command(command.clone())).await;
    }
}

/// Sends `mail`, waiting while the mailbox is full.
pub(crate) async fn tell(worker: &Sender<Mail>, mut mail: Mail) {
    while let Err(Undelivered::Full(back)) = worker.send(mail) {
        mail = back;
        tokio::time::sleep(PAUSE).await;
    }
}
