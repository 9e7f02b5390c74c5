//! Datagrams from worker to worker, in memory: between two clients of this process that are served
//! by different workers.
//!
//! There is a lane for each ordered pair of workers. During its turn, a worker collects the
//! datagrams for each other worker, and hands each collection over at once. The first collection
//! since the receiver last looked wakes it by a message; the receiver looks once a turn, whatever
//! wakes it, and leaves for the next turn what is too much for one. Buffers are swapped, not
//! copied, so that nothing is allocated once they have grown; large ones are cut back, and those of
//! a lane that carried nothing for a while are freed. A lane's lock is held while two buffers are
//! swapped, or a collection is appended to one that still waits: by two threads, and never for
//! long.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_net::mailbox::Sender;
use causeway_relay::{PeerAddress, RelayId};

use crate::mail::Mail;

/// Maximum number of datagrams that wait in a lane.
const MAX_DATAGRAMS: usize = 1024;
/// Maximum number of bytes that wait in a lane.
const MAX_BYTES: usize = 512 << 10;
/// Number of datagrams at which a collection is handed over before the end of the turn.
const BATCH_DATAGRAMS: usize = 64;
/// Number of bytes at which it is, too: of the longest datagrams that is one. A buffer that has
/// grown beyond it is cut back when it is empty.
const BATCH_BYTES: usize = 64 << 10;
/// Number of datagrams after which a turn looks into no further lane.
const TURN_DATAGRAMS: usize = 1024;
/// Number of bytes after which it looks into no further lane.
const TURN_BYTES: usize = 1 << 20;
/// How often the buffers of lanes that carried nothing since are freed.
const IDLE: Duration = Duration::from_secs(1);

/// The addresses of a datagram, and its DSCP and ECN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heading {
    /// The relayed address that receives it.
    pub(crate) to: RelayId,
    /// The relayed address that sent it, as it is advertised.
    pub(crate) from: PeerAddress,
    /// DSCP (upper six bits) and ECN (lower two).
    pub(crate) tos: u8,
}

/// Datagrams, stored one behind the other.
#[derive(Default)]
pub(crate) struct Batch {
    headings: Vec<(Heading, usize)>,
    bytes: Vec<u8>,
}

impl Batch {
    /// The datagrams in the order in which they were sent.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Heading, &[u8])> {
        self.headings.iter().scan(0, |end, (heading, len)| {
            *end += len;
            Some((heading, &self.bytes[*end - len..*end]))
        })
    }

    fn push(&mut self, heading: Heading, data: &[u8]) {
        self.headings.push((heading, data.len()));
        self.bytes.extend_from_slice(data);
    }

    fn is_empty(&self) -> bool {
        self.headings.is_empty()
    }

    fn is_full(&self) -> bool {
        self.headings.len() >= BATCH_DATAGRAMS || self.bytes.len() >= BATCH_BYTES
    }

    /// Appends as much of `other` as there is room for, and empties it. Returns how many datagrams
    /// had no room.
    fn append(&mut self, other: &mut Self) -> usize {
        if self.is_empty() {
            mem::swap(self, other);
            return 0;
        }
        let mut lost = 0;
        for (heading, data) in other.iter() {
            // All that follow a lost one are lost too, or a shorter one would overtake it.
            if lost == 0
                && self.headings.len() < MAX_DATAGRAMS
                && self.bytes.len() + data.len() <= MAX_BYTES
            {
                self.push(*heading, data);
            } else {
                lost += 1;
            }
        }
        other.clear();
        lost
    }

    fn clear(&mut self) {
        self.headings.clear();
        self.bytes.clear();
        self.headings.shrink_to(BATCH_DATAGRAMS);
        self.bytes.shrink_to(BATCH_BYTES);
    }
}

/// The lanes of all workers.
struct Shared {
    /// The lane from worker `f` to worker `t` stands at `f * workers + t`.
    lanes: Box<[Mutex<Batch>]>,
    /// By the receiving worker.
    wakers: Box<[Waker]>,
}

impl Shared {
    fn lane(&self, from: usize, to: usize) -> MutexGuard<'_, Batch> {
        self.lanes[from * self.wakers.len() + to].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a worker that has datagrams to take.
struct Waker {
    /// Whether a lane was filled since the worker last looked.
    woken: AtomicBool,
    mailbox: Sender<Mail>,
}

impl Waker {
    /// Makes the worker look into its lanes in its next turn. If its mailbox is full, it wakes
    /// without this message.
    fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            let _ = self.mailbox.send(Mail::Lanes);
        }
    }
}

/// The lanes of one worker: those to it, and those from it.
pub(crate) struct Lanes {
    index: usize,
    shared: Arc<Shared>,
    /// By the receiving worker.
    collected: Box<[Batch]>,
    /// Swapped for the batch that waits in a lane.
    spare: Batch,
    /// The worker whose lane is next, and how many lanes are left in this turn.
    next: usize,
    unseen: usize,
    taken: usize,
    taken_bytes: usize,
    /// Whether the last turn left lanes that it did not look into.
    more: bool,
    lost: u64,
    /// By the other worker: whether the lane from it, and the collection for it, were used since
    /// the last call of [`tidy`](Self::tidy).
    used: Box<[[bool; 2]]>,
    next_tidying: Duration,
}

/// The indices in [`Lanes::used`].
const FROM: usize = 0;
const TO: usize = 1;

impl Lanes {
    /// The lanes of each of the workers with these mailboxes; `None` for a single worker.
    pub(crate) fn between(workers: &[Sender<Mail>]) -> Vec<Option<Self>> {
        let count = workers.len();
        if count < 2 {
            return workers.iter().map(|_| None).collect();
        }
        let batches = |count: usize| (0..count).map(|_| Batch::default());
        let shared = Arc::new(Shared {
            lanes: batches(count * count).map(Mutex::new).collect(),
            wakers: workers
                .iter()
                .map(|mailbox| Waker { woken: AtomicBool::new(false), mailbox: mailbox.clone() })
                .collect(),
        });
        let end = |index| Self {
            index,
            shared: Arc::clone(&shared),
            collected: batches(count).collect(),
            spare: Batch::default(),
            next: 0,
            unseen: 0,
            taken: 0,
            taken_bytes: 0,
            more: false,
            lost: 0,
            used: vec![[false; 2]; count].into(),
            next_tidying: Duration::ZERO,
        };
        (0..count).map(|index| Some(end(index))).collect()
    }

    /// Collects a datagram for another worker. If the lane is full, the datagram is lost, and
    /// counted.
    pub(crate) fn put(&mut self, heading: Heading, data: &[u8]) {
        let to = usize::from(heading.to.allocation.worker);
        let Some(batch) = self.collected.get_mut(to) else { return };
        batch.push(heading, data);
        if batch.is_full() {
            self.hand_over(to);
        }
    }

    /// Hands over all collections, at the end of a turn.
    pub(crate) fn hand_over_all(&mut self) {
        for to in 0..self.collected.len() {
            if !self.collected[to].is_empty() {
                self.hand_over(to);
            }
        }
    }

    /// Number of datagrams that were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether datagrams have arrived since the last turn, or were left by it; then
    /// [`next`](Self::next) returns them. Call it once a turn.
    pub(crate) fn has_arrivals(&mut self) -> bool {
        let waker = &self.shared.wakers[self.index];
        // It is cleared before the lanes are looked into: a worker that fills one later wakes this
        // one again.
        let woken =
            waker.woken.load(Ordering::Relaxed) && waker.woken.swap(false, Ordering::AcqRel);
        let has_arrivals = mem::take(&mut self.more) || woken;
        if has_arrivals {
            (self.unseen, self.taken, self.taken_bytes) = (self.collected.len(), 0, 0);
        }
        has_arrivals
    }

    /// Whether the last turn left datagrams, so that the next turn must begin at once.
    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    /// The batch of the next lane; [give it back](Self::give_back) afterwards. `None` when no lane
    /// has one, or the turn has taken its maximum.
    pub(crate) fn next(&mut self) -> Option<Batch> {
        while self.unseen > 0 {
            if self.taken >= TURN_DATAGRAMS || self.taken_bytes >= TURN_BYTES {
                // No message: it would lie in the mailbox that this turn may be draining.
                (self.unseen, self.more) = (0, true);
                return None;
            }
            let from = self.next;
            self.next = (from + 1) % self.collected.len();
            self.unseen -= 1;
            let mut lane = self.shared.lane(from, self.index);
            if !lane.is_empty() {
                let arrived = mem::replace(&mut *lane, mem::take(&mut self.spare));
                self.used[from][FROM] = true;
                self.taken += arrived.headings.len();
                self.taken_bytes += arrived.bytes.len();
                return Some(arrived);
            }
        }
        None
    }

    /// Takes back a batch of [`next`](Self::next), to reuse its memory.
    pub(crate) fn give_back(&mut self, mut batch: Batch) {
        batch.clear();
        self.spare = batch;
    }

    /// Frees the buffers of lanes that carried nothing since the last time, at most once a second.
    pub(crate) fn tidy(&mut self, now: Duration) {
        if now < self.next_tidying {
            return;
        }
        self.next_tidying = now + IDLE;
        if self.used.iter().all(|used| !used[FROM]) {
            self.spare = Batch::default();
        }
        for other in 0..self.collected.len() {
            let [from, to] = mem::take(&mut self.used[other]);
            if !to && self.collected[other].is_empty() {
                self.collected[other] = Batch::default();
            }
            if !from {
                let mut lane = self.shared.lane(other, self.index);
                if lane.is_empty() {
                    *lane = Batch::default();
                }
            }
        }
    }

    fn hand_over(&mut self, to: usize) {
        self.used[to][TO] = true;
        let lost = self.shared.lane(self.index, to).append(&mut self.collected[to]);
        self.lost += lost as u64;
        self.shared.wakers[to].wake();
    }
}

#[cfg(test)]
impl Batch {
    /// The capacity of its buffers, in bytes.
    fn memory(&self) -> usize {
        self.bytes.capacity() + self.headings.capacity() * size_of::<(Heading, usize)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_net::Mailbox;
    use causeway_net::mailbox::Receiver;
    use causeway_relay::AllocationId;
    use std::thread::JoinHandle;

    fn ends(count: usize) -> (Vec<Lanes>, Vec<Receiver<Mail>>) {
        let boxes: Vec<_> = (0..count).map(|_| Mailbox::new(4).unwrap()).collect();
        let (senders, receivers): (Vec<_>, Vec<_>) =
            boxes.into_iter().map(|mailbox| (mailbox.sender, mailbox.receiver)).unzip();
        (Lanes::between(&senders).into_iter().flatten().collect(), receivers)
    }

    fn heading(worker: u16, slot: u32) -> Heading {
        let to = RelayId { allocation: AllocationId { worker, slot, generation: 0 }, index: 0 };
        Heading { to, from: PeerAddress("192.0.2.1:50000".parse().unwrap()), tos: 0xB8 }
    }

    /// Takes what one turn takes.
    fn arrived(end: &mut Lanes) -> Vec<(Heading, Vec<u8>)> {
        let mut all = Vec::new();
        if end.has_arrivals() {
            while let Some(batch) = end.next() {
                all.extend(batch.iter().map(|(heading, data)| (*heading, data.to_vec())));
                end.give_back(batch);
            }
        }
        all
    }

    fn messages(mail: &Receiver<Mail>) -> usize {
        let mut count = 0;
        mail.drain(10, |_| count += 1);
        count
    }

    #[test]
    fn a_single_worker_has_none() {
        assert!(ends(1).0.is_empty());
    }

    #[test]
    fn datagrams_of_all_sizes_arrive_as_they_were_and_in_order() {
        let (mut ends, mail) = ends(3);
        for round in 0..3 {
            let sizes = [0, 1, 160, 0, 1200, 9000, 65_535, 65_535, 3, 0];
            let sent: Vec<_> = (0u32..)
                .zip(sizes)
                .map(|(slot, len)| (heading(2, slot), vec![(slot + round) as u8; len]))
                .collect();
            sent.iter().for_each(|(heading, data)| ends[0].put(*heading, data));
            ends[1].put(heading(2, 99), b"of another");
            ends[0].hand_over_all();
            ends[1].hand_over_all();
            assert_eq!(messages(&mail[2]), 1, "one message wakes for all of them");
            assert_eq!((messages(&mail[0]), messages(&mail[1])), (0, 0));
            let (others, all): (Vec<_>, Vec<_>) = arrived(&mut ends[2])
                .into_iter()
                .partition(|(heading, _)| heading.to.allocation.slot == 99);
            assert_eq!(all, sent);
            assert_eq!(others, [(heading(2, 99), b"of another".to_vec())]);
            assert!(arrived(&mut ends[2]).is_empty());
        }
        assert_eq!(ends[0].lost(), 0);
    }

    #[test]
    fn a_full_lane_loses_the_latest_and_stalls_no_other() {
        let (mut ends, _mail) = ends(2);
        let many = MAX_DATAGRAMS as u32 + 500;
        (0..many).for_each(|slot| ends[0].put(heading(1, slot), &[1; 10]));
        ends[0].hand_over_all();
        let slots: Vec<u32> =
            arrived(&mut ends[1]).iter().map(|(heading, _)| heading.to.allocation.slot).collect();
        assert!(slots.iter().copied().eq(0..MAX_DATAGRAMS as u32));
        assert_eq!(ends[0].lost(), 500);
        (0..20).for_each(|slot| ends[0].put(heading(1, slot), &[2; 65_000]));
        ends[0].hand_over_all();
        let large = arrived(&mut ends[1]).len();
        assert_eq!((large, ends[0].lost()), (MAX_BYTES / 65_000, 500 + 20 - large as u64));
        ends[0].put(heading(1, 1), b"and on");
        ends[0].hand_over_all();
        assert_eq!(arrived(&mut ends[1]).len(), 1);
    }

    #[test]
    fn what_is_too_much_for_a_turn_comes_in_the_next() {
        let (mut ends, mail) = ends(4);
        for end in &mut ends[..3] {
            (0..800).for_each(|slot| end.put(heading(3, slot), b"x"));
            end.hand_over_all();
        }
        assert_eq!((messages(&mail[3]), arrived(&mut ends[3]).len()), (1, 1600));
        assert!(ends[3].has_more());
        assert_eq!(
            (messages(&mail[3]), arrived(&mut ends[3]).len()),
            (0, 800),
            "without a message that the same turn would take"
        );
        assert!(!ends[3].has_more());
        assert_eq!((messages(&mail[3]), arrived(&mut ends[3]).len()), (0, 0));
    }

    #[test]
    fn h52_large_datagrams_of_many_lanes_are_too_much_for_a_turn_too() {
        let (mut ends, _mail) = ends(6);
        for end in &mut ends[..5] {
            (0..7).for_each(|slot| end.put(heading(5, slot), &[1; 65_000]));
            end.hand_over_all();
        }
        let turns: Vec<usize> = std::iter::repeat_with(|| arrived(&mut ends[5]).len())
            .take_while(|count| *count > 0)
            .collect();
        assert_eq!(turns, [21, 14], "at most a mebibyte and a lane");
    }

    #[test]
    fn h52_no_lane_waits_for_ever_while_others_are_full() {
        let (mut ends, _mail) = ends(4);
        let (mut seen, mut turns) = ([0; 3], 0);
        while seen.iter().any(|count| *count < 3000) {
            for (index, end) in (0u32..).zip(&mut ends[..3]) {
                (0..1000).for_each(|_| end.put(heading(3, index), b"x"));
                end.hand_over_all();
            }
            arrived(&mut ends[3])
                .iter()
                .for_each(|(heading, _)| seen[heading.to.allocation.slot as usize] += 1);
            turns += 1;
            assert!(turns <= 8, "{seen:?}");
        }
    }

    #[test]
    fn lanes_that_carry_nothing_keep_nothing() {
        let (mut ends, _mail) = ends(3);
        let second = Duration::from_secs(1);
        for (from, end) in ends.iter_mut().enumerate() {
            for to in (0..3).filter(|to| *to != from) {
                (0..200).for_each(|slot| end.put(heading(to as u16, slot), &[0; 1200]));
            }
            end.hand_over_all();
        }
        for end in &mut ends {
            arrived(end);
            end.tidy(second);
        }
        let kept = |ends: &[Lanes]| -> usize {
            let own = ends
                .iter()
                .flat_map(|end| end.collected.iter().chain([&end.spare]))
                .map(Batch::memory)
                .sum::<usize>();
            own + ends[0]
                .shared
                .lanes
                .iter()
                .map(|lane| lane.lock().unwrap().memory())
                .sum::<usize>()
        };
        assert!(kept(&ends) > 0, "a lane that is in use keeps its buffers");
        for round in 2..4 {
            ends.iter_mut().for_each(|end| end.tidy(round * second));
        }
        assert_eq!(kept(&ends), 0);
        ends[0].put(heading(1, 7), b"and on");
        ends[0].hand_over_all();
        ends[1].tidy(9 * second);
        assert_eq!(arrived(&mut ends[1]).len(), 1, "a batch that waits is kept");
    }

    #[test]
    fn large_buffers_are_not_kept() {
        let (mut ends, _mail) = ends(2);
        for _ in 0..5 {
            (0..30).for_each(|slot| ends[0].put(heading(1, slot), &[0; 60_000]));
            ends[0].hand_over_all();
            arrived(&mut ends[1]);
        }
        let kept = [&ends[0].collected[1], &ends[1].spare, &*ends[0].shared.lane(0, 1)]
            .map(|batch| batch.bytes.capacity());
        assert!(kept.iter().all(|bytes| *bytes <= BATCH_BYTES), "{kept:?}");
    }

    /// Takes what has arrived if a message says so, and checks the order of each sender's. Returns
    /// how many.
    fn woken(mail: &Receiver<Mail>, receiver: &mut Lanes, next: &mut [u32; 2]) -> u64 {
        if messages(mail) == 0 && !receiver.has_more() {
            return 0;
        }
        let arrived = arrived(receiver);
        for (heading, data) in &arrived {
            let (sender, number) = (usize::from(heading.tos), heading.to.allocation.slot);
            assert!(data == &number.to_be_bytes() && number >= next[sender], "in order, each once");
            next[sender] = number + 1;
        }
        arrived.len() as u64
    }

    #[test]
    fn nothing_is_slept_through_between_threads() {
        const EACH: u32 = 30_000;
        let (ends, mail) = ends(3);
        let mut ends = ends.into_iter();
        let mut receiver = ends.next().unwrap();
        let senders: Vec<_> = (0u8..)
            .zip(ends)
            .map(|(sender, mut end)| {
                std::thread::spawn(move || {
                    for slot in 0..EACH {
                        end.put(Heading { tos: sender, ..heading(0, slot) }, &slot.to_be_bytes());
                        if slot % 7 == 0 {
                            end.hand_over_all();
                            std::thread::yield_now();
                        }
                    }
                    end.hand_over_all();
                    end.lost()
                })
            })
            .collect();
        // Each message is one look, and what a look leaves is another: if a message were missing,
        // datagrams would be left at the end.
        let mut count = 0;
        let mut next = [0; 2];
        while !senders.iter().all(JoinHandle::is_finished) {
            count += woken(&mail[0], &mut receiver, &mut next);
        }
        let lost: u64 = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        count += woken(&mail[0], &mut receiver, &mut next);
        assert_eq!(count + lost, 2 * u64::from(EACH));
    }
}
