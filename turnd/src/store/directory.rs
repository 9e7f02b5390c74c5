//! The workers as the source of the store writer's changes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_net::mailbox::{Sender, Undelivered};
use causeway_store::{Backlog, Change, NodeReport, Restored, Source};

use crate::counters::Counters;
use crate::inbox::Inbox;
use crate::mail::Mail;
use crate::records::Left;
use crate::store::registry::Registered;
use crate::store::restoration::Restoration;

/// How long to wait for a worker's answer. A slower worker delays neither the others nor their
/// writes: its answer is taken when it comes, and no comparison ends before.
const ANSWER: Duration = Duration::from_secs(2);

/// A message of a worker to the control side.
pub(crate) enum WorkerMessage {
    /// Changes wait to be asked for.
    Pending,
    /// The requested changes.
    Changes(Box<Changes>),
}

/// A part of a worker's changes.
#[derive(Default)]
pub(crate) struct Changes {
    /// Index of the worker.
    pub(crate) worker: u16,
    /// Changes of its allocations.
    pub(crate) changes: Vec<Change>,
    /// Whether more allocations ended than the worker could remember.
    pub(crate) lost_count: bool,
    /// Number of the comparison to which this worker has now offered all its allocations.
    pub(crate) offered: Option<u64>,
}

/// All workers, behind their mailboxes. No worker ever waits for it.
pub(crate) struct WorkerSource {
    owners: Vec<Owner>,
    inbox: Inbox<WorkerMessage>,
    registered: Registered,
    restoration: Arc<Restoration>,
    /// Allocations that were read late, until their workers have room for them.
    late: VecDeque<Left>,
    /// The number of the latest comparison.
    round: u64,
    taken: Vec<Change>,
    lost_count: bool,
}

/// A worker, and the state of the questions to it.
struct Owner {
    mail: Sender<Mail>,
    counters: Arc<Counters>,
    /// Whether it was asked for changes and has not answered yet.
    asked: bool,
    /// Whether it has not answered in time.
    late: bool,
    offer: Offer,
}

/// The progress of a worker in offering all its allocations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offer {
    /// The request was not sent yet, for example because its mailbox was full.
    Untold,
    Told,
    /// It has sent all of them.
    Given,
}

impl Owner {
    /// Asks for changes if there are some, and for all allocations of a comparison. A request that
    /// finds the mailbox full is tried again next time.
    fn ask(&mut self, round: u64, limit: usize) {
        if self.offer == Offer::Untold && self.mail.send(Mail::OfferAll { round }).is_ok() {
            self.offer = Offer::Told;
        }
        if !self.asked && (self.offer == Offer::Told || self.counters.unwritten.value() > 0) {
            self.asked = self.mail.send(Mail::Changes { limit }).is_ok();
        }
    }

    fn is_awaited(&self) -> bool {
        self.asked && !self.late
    }
}

impl WorkerSource {
    pub(crate) fn new(
        workers: Vec<(Sender<Mail>, Arc<Counters>)>,
        inbox: Inbox<WorkerMessage>,
        registered: Registered,
        restoration: Arc<Restoration>,
    ) -> Self {
        let owner = |(mail, counters)| Owner {
            mail,
            counters,
            asked: false,
            late: false,
            offer: Offer::Given,
        };
        let owners = workers.into_iter().map(owner).collect();
        let late = VecDeque::new();
        Self {
            owners,
            inbox,
            registered,
            restoration,
            late,
            round: 0,
            taken: Vec::new(),
            lost_count: false,
        }
    }

    /// Takes all messages in the inbox, waiting up to `patience` for the first.
    async fn receive(&mut self, patience: Duration) {
        let first = tokio::time::timeout(patience, self.inbox.next()).await;
        let mut next = first.ok().flatten();
        while let Some(message) = next {
            self.read(message);
            next = self.inbox.take();
        }
    }

    fn read(&mut self, message: WorkerMessage) {
        match message {
            WorkerMessage::Pending => {}
            WorkerMessage::Changes(from) => {
                let owner = &mut self.owners[usize::from(from.worker)];
                (owner.asked, owner.late) = (false, false);
                if from.offered == Some(self.round) {
                    owner.offer = Offer::Given;
                }
                self.taken.extend(from.changes);
                self.lost_count |= from.lost_count;
            }
        }
    }

    fn ask(&mut self, limit: usize) {
        self.hand_over();
        self.owners.iter_mut().for_each(|owner| owner.ask(self.round, limit));
    }

    /// Sends late records to the workers, as long as their mailboxes have room.
    fn hand_over(&mut self) {
        while let Some(left) = self.late.pop_front() {
            let owner = &self.owners[left.worker(self.owners.len())];
            if let Err(Undelivered::Full(Mail::Adopt(left))) =
                owner.mail.send(Mail::Adopt(Box::new(left)))
            {
                return self.late.push_front(*left);
            }
        }
    }

    fn is_any_awaited(&self) -> bool {
        self.owners.iter().any(Owner::is_awaited)
    }
}

impl Source for WorkerSource {
    async fn drain(&mut self, limit: usize, patience: Duration) -> Vec<Change> {
        let share = limit.div_ceil(self.owners.len()).max(1);
        self.ask(share);
        if self.taken.is_empty() && !self.is_any_awaited() {
            self.receive(patience).await;
            self.ask(share);
        }
        let deadline = Instant::now() + ANSWER;
        while self.is_any_awaited() && Instant::now() < deadline {
            self.receive(deadline.saturating_duration_since(Instant::now())).await;
        }
        self.owners.iter_mut().for_each(|owner| owner.late = owner.asked);
        let rest = self.taken.split_off(limit.min(self.taken.len()));
        std::mem::replace(&mut self.taken, rest)
    }

    async fn offer_all(&mut self) {
        // This comparison covers changes that were lost before. An answer to an earlier comparison
        // does not count for it.
        self.lost_count = false;
        self.round += 1;
        self.owners.iter_mut().for_each(|owner| owner.offer = Offer::Untold);
    }

    fn is_offered(&self) -> bool {
        self.taken.is_empty() && self.owners.iter().all(|owner| owner.offer == Offer::Given)
    }

    fn lost_count(&mut self) -> bool {
        std::mem::take(&mut self.lost_count)
    }

    async fn adopt(&mut self, late: Restored) {
        let (left, ended) = self.restoration.sort(late);
        tracing::info!(records = left.len(), "allocations of the previous process read late");
        self.late.extend(left);
        self.taken.extend(ended.into_iter().map(Change::Delete));
        self.hand_over();
    }

    async fn report(&mut self) -> NodeReport {
        self.registered.report(self.owners.iter().map(|owner| owner.counters.live()).sum())
    }

    fn backlog(&self) -> Backlog {
        let waiting: u64 = self.owners.iter().map(|owner| owner.counters.unwritten.value()).sum();
        Backlog { changes: waiting + self.taken.len() as u64, oldest: None }
    }
}

#[cfg(test)]
mod tests {
    use causeway_net::mailbox::{Mailbox, Receiver};
    use causeway_store::{Accounting, RecordId};

    use super::*;
    use crate::inbox::{Outbox, inbox};

    struct World {
        source: WorkerSource,
        outbox: Outbox<WorkerMessage>,
        mailboxes: Vec<Receiver<Mail>>,
        counters: Vec<Arc<Counters>>,
    }

    impl World {
        fn of(workers: usize) -> Self {
            let (outbox, inbox) = inbox(16);
            let boxes: Vec<_> = (0..workers).map(|_| Mailbox::new(8).unwrap()).collect();
            let counters: Vec<Arc<Counters>> = (0..workers).map(|_| Arc::default()).collect();
            let senders = boxes
                .iter()
                .map(|mailbox| mailbox.sender.clone())
                .zip(counters.iter().cloned())
                .collect();
            let source = WorkerSource::new(
                senders,
                inbox,
                Registered::default(),
                Arc::new(Restoration::new("r", Accounting::new(10, 1 << 20))),
            );
            Self {
                source,
                outbox,
                mailboxes: boxes.into_iter().map(|mailbox| mailbox.receiver).collect(),
                counters,
            }
        }

        /// The content of the worker's mailbox: the comparison to which it must offer, and whether
        /// it is asked for changes.
        fn mail(&mut self, worker: usize) -> (Option<u64>, bool) {
            let (mut round, mut asked) = (None, false);
            self.mailboxes[worker].drain(100, |mail| match mail {
                Mail::OfferAll { round: this } => round = Some(this),
                Mail::Changes { .. } => asked = true,
                _ => panic!("a report that was not sent"),
            });
            (round, asked)
        }

        fn answer(&self, worker: u16, offered: Option<u64>, ended: &[u64]) {
            let changes = ended.iter().map(|id| Change::Delete(RecordId(*id))).collect();
            let report = Changes { worker, changes, offered, ..Changes::default() };
            assert!(self.outbox.send(WorkerMessage::Changes(Box::new(report))).is_ok());
        }
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn h47_an_offer_is_over_when_every_worker_has_given_its_last_allocation() {
        run(async {
            let mut world = World::of(2);
            world.source.offer_all().await;
            world.answer(0, Some(1), &[7]);
            world.answer(1, None, &[8]);
            let given = world.source.drain(10, Duration::ZERO).await;
            assert_eq!((given.len(), world.source.is_offered()), (2, false));
            assert_eq!((world.mail(0), world.mail(1)), ((Some(1), true), (Some(1), true)));
            // The second worker is asked for the rest although its counter says nothing.
            world.answer(1, Some(1), &[9]);
            assert_eq!(world.source.drain(10, Duration::ZERO).await.len(), 1);
            assert_eq!((world.mail(0), world.mail(1)), ((None, false), (None, true)));
            assert!(world.source.is_offered());
        });
    }

    #[test]
    fn h47_an_answer_to_an_earlier_comparison_does_not_count_for_the_next() {
        run(async {
            let mut world = World::of(1);
            world.source.offer_all().await;
            world.answer(0, None, &[]);
            world.source.drain(10, Duration::ZERO).await;
            // The store fails, and the comparison begins again before the worker has answered.
            world.source.offer_all().await;
            world.answer(0, Some(1), &[7]);
            world.source.drain(10, Duration::ZERO).await;
            assert!(!world.source.is_offered());
            world.answer(0, Some(2), &[]);
            world.source.drain(10, Duration::ZERO).await;
            assert!(world.source.is_offered());
        });
    }

    #[test]
    fn h47_what_waits_at_the_control_side_is_not_offered_yet() {
        run(async {
            let mut world = World::of(1);
            world.source.offer_all().await;
            world.answer(0, Some(1), &[1, 2, 3]);
            assert_eq!(
                (world.source.drain(2, Duration::ZERO).await.len(), world.source.is_offered()),
                (2, false)
            );
            assert_eq!(
                (world.source.drain(2, Duration::ZERO).await.len(), world.source.is_offered()),
                (1, true)
            );
        });
    }

    #[test]
    fn h47_a_worker_that_hangs_keeps_a_comparison_open_and_nobody_waiting() {
        run(async {
            let mut world = World::of(2);
            world.source.offer_all().await;
            world.answer(1, Some(1), &[8]);
            assert_eq!(world.source.drain(10, Duration::ZERO).await.len(), 1);
            // The first has had its time; what the other has is taken meanwhile.
            for record in 0..100 {
                world.counters[1].unwritten.set(1);
                world.answer(1, Some(1), &[record]);
                assert_eq!(world.source.drain(10, Duration::from_millis(1)).await.len(), 1);
                assert!(!world.source.is_offered());
            }
            world.answer(0, Some(1), &[7]);
            world.counters[1].unwritten.set(0);
            let mut given = 0;
            while given == 0 {
                given = world.source.drain(10, Duration::from_millis(1)).await.len();
            }
            assert!(world.source.is_offered());
        });
    }
}
