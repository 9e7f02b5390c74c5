//! The workers as the store's writer sees them: where changes come from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_net::mailbox::Sender;
use causeway_store::{Backlog, Change, NodeReport, Source};

use crate::counters::Counters;
use crate::inbox::Inbox;
use crate::worker::Mail;

/// A worker that does not answer for so long is left out; what it says later is taken then.
const ANSWER: Duration = Duration::from_secs(2);

/// What a worker tells the control side.
pub(crate) enum Letter {
    /// There are changes to be asked for.
    Pending,
    /// The changes that were asked for.
    Changes(Box<Changes>),
    /// This worker has noted all its allocations as changed.
    Offered(u16),
}

/// What a worker gave out of its changes.
pub(crate) struct Changes {
    /// Its index.
    pub(crate) worker: u16,
    /// What became of its allocations.
    pub(crate) changes: Vec<Change>,
    /// Whether there were more deletions than it could remember.
    pub(crate) lost_count: bool,
}

/// All workers, behind their mailboxes. None of them ever waits for it.
pub(crate) struct WorkerSource {
    workers: Vec<(Sender<Mail>, Arc<Counters>)>,
    inbox: Inbox<Letter>,
    report: NodeReport,
    /// Workers that were asked for changes and have not answered.
    asked: Vec<bool>,
    /// Workers that were told to offer everything and have not answered.
    offering: Vec<bool>,
    taken: Vec<Change>,
    lost_count: bool,
}

impl WorkerSource {
    pub(crate) fn new(workers: Vec<(Sender<Mail>, Arc<Counters>)>, inbox: Inbox<Letter>, report: NodeReport) -> Self {
        let (asked, offering) = (vec![false; workers.len()], vec![false; workers.len()]);
        Self { workers, inbox, report, asked, offering, taken: Vec::new(), lost_count: false }
    }

    /// Takes what lies in the inbox, waiting for `patience` until there is something.
    async fn receive(&mut self, patience: Duration) {
        let first = tokio::time::timeout(patience, self.inbox.next()).await;
        let mut next = first.ok().flatten();
        while let Some(letter) = next {
            self.read(letter);
            next = self.inbox.take();
        }
    }

    fn read(&mut self, letter: Letter) {
        match letter {
            Letter::Pending => {}
            Letter::Offered(worker) => self.offering[usize::from(worker)] = false,
            Letter::Changes(from) => {
                self.asked[usize::from(from.worker)] = false;
                self.taken.extend(from.changes);
                self.lost_count |= from.lost_count;
            }
        }
    }

    /// Asks each worker that has changes for some of them.
    fn ask(&mut self, limit: usize) {
        for ((mail, counters), asked) in self.workers.iter().zip(&mut self.asked) {
            if !*asked && counters.unwritten.value() > 0 {
                *asked = mail.send(Mail::Changes { limit }).is_ok();
            }
        }
    }
}

impl Source for WorkerSource {
    async fn drain(&mut self, limit: usize, patience: Duration) -> Vec<Change> {
        let share = limit.div_ceil(self.workers.len()).max(1);
        self.ask(share);
        if self.taken.is_empty() && !self.asked.contains(&true) {
            self.receive(patience).await;
            self.ask(share);
        }
        let deadline = Instant::now() + ANSWER;
        while self.asked.contains(&true) && Instant::now() < deadline {
            self.receive(deadline.saturating_duration_since(Instant::now())).await;
        }
        let rest = self.taken.split_off(limit.min(self.taken.len()));
        std::mem::replace(&mut self.taken, rest)
    }

    async fn offer_all(&mut self) {
        self.lost_count = false;
        for ((mail, _), offering) in self.workers.iter().zip(&mut self.offering) {
            *offering = mail.send(Mail::OfferAll).is_ok();
            self.lost_count |= !*offering;
        }
        // The comparison ends when nothing is left to be drained, so nothing must be missed.
        let deadline = Instant::now() + ANSWER;
        while self.offering.contains(&true) && Instant::now() < deadline {
            self.receive(deadline.saturating_duration_since(Instant::now())).await;
        }
        // A worker that hangs has its records compared once more later.
        self.lost_count |= self.offering.contains(&true);
    }

    fn lost_count(&mut self) -> bool {
        std::mem::take(&mut self.lost_count)
    }

    async fn report(&mut self) -> NodeReport {
        self.report.allocations = self.workers.iter().map(|(_, counters)| counters.live()).sum();
        self.report.clone()
    }

    fn backlog(&self) -> Backlog {
        let waiting: u64 = self.workers.iter().map(|(_, counters)| counters.unwritten.value()).sum();
        Backlog { changes: waiting + self.taken.len() as u64, oldest: None }
    }
}
