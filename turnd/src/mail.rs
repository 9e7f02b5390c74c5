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

/// What the control side sends to a worker.
pub(crate) enum Mail {
    /// End.
    Stop,
    /// Give up to so many changes for the store.
    Changes {
        /// So many.
        limit: usize,
    },
    /// Offer all allocations to a comparison of the store.
    OfferAll {
        /// Its number.
        round: u64,
    },
    /// The store has this allocation of the process before: bring it back if nothing has taken its
    /// place.
    Adopt(Box<Left>),
    /// What the store said of a user whose key was wanted.
    Key {
        /// Whose.
        username: Box<str>,
        /// The key, or that there is none.
        answer: KeyAnswer,
    },
    /// What the operator, or the store, wants.
    Command(Command),
    /// The server stops: give the last accounts.
    Leave(oneshot::Sender<Last>),
    /// Another worker has datagrams for this one.
    Crossing,
}

/// Sends `command` to every worker, however long it takes until their mailboxes have room.
pub(crate) async fn tell_all(workers: &[Sender<Mail>], command: &Command) {
    for worker in workers {
        tell(worker, Mail::Command(command.clone())).await;
    }
}

/// Sends `mail`, however long it takes until the mailbox has room.
pub(crate) async fn tell(worker: &Sender<Mail>, mut mail: Mail) {
    while let Err(Undelivered::Full(back)) = worker.send(mail) {
        mail = back;
        tokio::time::sleep(PAUSE).await;
    }
}
