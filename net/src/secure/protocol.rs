//! A protocol's part of the handshaker's thread, and its way to the workers.

use std::collections::HashMap;
use std::time::Instant;

use super::messages::Reply;
use super::shared::Shared;
use crate::mailbox;

/// One protocol's handshakes under way, on the handshaker's thread.
pub(super) trait Protocol {
    /// The requests of workers.
    type Request;

    /// Takes a request of `worker`.
    fn request(
        &mut self,
        now: Instant,
        worker: usize,
        request: Self::Request,
        out: &mut Replies<'_>,
    );

    /// When [`timeout`](Self::timeout) is due.
    fn next_deadline(&self) -> Option<Instant>;

    /// The deadline has passed: sends flights again, and forgets handshakes.
    fn timeout(&mut self, now: Instant, out: &mut Replies<'_>);
}

/// The way of replies to the workers.
pub(super) struct Replies<'a> {
    pub(super) shared: &'a Shared,
    pub(super) workers: &'a mut HashMap<usize, mailbox::Sender<Reply>>,
}

impl Replies<'_> {
    /// Sends a reply. A worker whose mailbox is full loses it, and ends the handshake by its time
    /// limit.
    pub(super) fn send(&mut self, worker: usize, reply: Reply) {
        if !self.workers.contains_key(&worker)
            && let Some(sender) = self.shared.mailbox_of(worker)
        {
            self.workers.insert(worker, sender);
        }
        if let Some(sender) = self.workers.get(&worker) {
            let _ = sender.send(reply);
        }
    }
}
