//! Datagrams from worker to worker, in memory: between clients of this process that different
//! workers serve.
//!
//! There is a lane for each ordered pair of workers. During its turn a worker collects what goes to
//! each other one, and hands each collection over at once; whoever is given the first one since it
//! last looked is woken by a letter. It looks once a turn, whatever wakes it, and what is too much
//! for a turn waits for the next. The buffers of a lane change places, so that nothing is allocated
//! once they have grown to what is needed; large ones are not kept, and those of a lane that
//! carried nothing for a while are freed. A lane's lock is held while two of them are exchanged, or
//! a collection is put behind one that still waits: by two threads, and never for long.

use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_net::mailbox::Sender;
use causeway_relay::RelayId;

use crate::mail::Mail;

/// Datagrams that may wait in a lane.
const MOST_DATAGRAMS: usize = 1024;
/// Their bytes.
const MOST_BYTES: usize = 512 << 10;
/// A collection is handed over before the turn's end when it has so many datagrams,
const BATCH_DATAGRAMS: usize = 64;
/// or so many bytes: of the longest datagrams that is one. A buffer that has grown beyond it is cut
/// back when it is empty.
const BATCH_BYTES: usize = 64 << 10;
/// Datagrams after which a turn looks into no further lane,
const TURN_DATAGRAMS: usize = 1024;
/// or bytes.
const TURN_BYTES: usize = 1 << 20;
/// How often the buffers are freed of lanes that carried nothing in the meantime.
const IDLE: Duration = Duration::from_secs(1);

/// Whom a datagram is for, and what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The relayed address that it is for.
    pub(crate) to: RelayId,
    /// The relayed address that it comes from, as it is advertised.
    pub(crate) from: SocketAddr,
    /// DSCP (upper six bits) and ECN (lower two).
    pub(crate) tos: u8,
}

/// Datagrams one behind the other.
#[derive(Default)]
pub(crate) struct Batch {
    envelopes: Vec<(Envelope, usize)>,
    bytes: Vec<u8>,
}

impl Batch {
    /// The datagrams in the order in which they were sent.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Envelope, &[u8])> {
        self.envelopes.iter().scan(0, |end, (envelope, len)| {
            *end += len;
            Some((envelope, &self.bytes[*end - len..*end]))
        })
    }

    fn push(&mut self, envelope: Envelope, data: &[u8]) {
        self.envelopes.push((envelope, data.len()));
        self.bytes.extend_from_slice(data);
    }

    fn is_empty(&self) -> bool {
        self.envelopes.is_empty()
    }

    fn is_full(&self) -> bool {
        self.envelopes.len() >= BATCH_DATAGRAMS || self.bytes.len() >= BATCH_BYTES
    }

    /// Puts as much of `other` behind its own as it may hold, and empties it: how many datagrams
    /// had no room.
    fn append(&mut self, other: &mut Self) -> usize {
        if self.is_empty() {
            mem::swap(self, other);
            return 0;
        }
        let mut lost = 0;
        for (envelope, data) in other.iter() {
            // What follows a lost one is lost too, or a shorter one would overtake it.
            if lost == 0
                && self.envelopes.len() < MOST_DATAGRAMS
                && self.bytes.len() + data.len() <= MOST_BYTES
            {
                self.push(*envelope, data);
            } else {
                lost += 1;
            }
        }
        other.clear();
        lost
    }

    fn clear(&mut self) {
        self.envelopes.clear();
        self.bytes.clear();
        self.envelopes.shrink_to(BATCH_DATAGRAMS);
        self.bytes.shrink_to(BATCH_BYTES);
    }
}

/// What all workers share.
struct Lanes {
    /// That from worker `f` to worker `t` stands at `f * workers + t`.
    lanes: Box<[Mutex<Batch>]>,
    /// By the worker that is entered to.
    doors: Box<[Door]>,
}

impl Lanes {
    fn lane(&self, from: usize, to: usize) -> MutexGuard<'_, Batch> {
        self.lanes[from * self.doors.len() + to].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Door {
    /// Something was put in since the worker last looked.
    knocked: AtomicBool,
    mail: Sender<Mail>,
}

impl Door {
    /// Has the worker look into its lanes in its next turn. A full mailbox is no loss: its worker
    /// wakes all the same.
    fn knock(&self) {
        if !self.knocked.swap(true, Ordering::AcqRel) {
            let _ = self.mail.send(Mail::Crossing);
        }
    }
}

/// One worker's end of its lanes, to and from.
pub(crate) struct Crossing {
    index: usize,
    lanes: Arc<Lanes>,
    /// By the worker that they go to.
    collected: Box<[Batch]>,
    /// Exchanged for what lies in a lane.
    spare: Batch,
    /// The worker whose lane is looked into next, and how many are yet to be in this turn.
    next: usize,
    unseen: usize,
    taken: usize,
    taken_bytes: usize,
    /// Whether lanes are left that the last turn did not look into.
    more: bool,
    lost: u64,
    /// By the worker at the other end: whether the lane from it, and the collection for it, were
    /// used since they were last tidied.
    used: Box<[[bool; 2]]>,
    next_tidying: Duration,
}

/// The index of a lane's two uses in [`Crossing::used`].
const FROM: usize = 0;
const TO: usize = 1;

impl Crossing {
    /// The ends of all workers, which are reached by these mailboxes: none for a single one, who
    /// has nobody to send to.
    pub(crate) fn between(workers: &[Sender<Mail>]) -> Vec<Option<Self>> {
        let count = workers.len();
        if count < 2 {
            return workers.iter().map(|_| None).collect();
        }
        let batches = |count: usize| (0..count).map(|_| Batch::default());
        let lanes = Arc::new(Lanes {
            lanes: batches(count * count).map(Mutex::new).collect(),
            doors: workers
                .iter()
                .map(|mail| Door { knocked: AtomicBool::new(false), mail: mail.clone() })
                .collect(),
        });
        let end = |index| Self {
            index,
            lanes: Arc::clone(&lanes),
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

    /// Sends a datagram on its way. What finds its lane full is lost, and counted.
    pub(crate) fn put(&mut self, envelope: Envelope, data: &[u8]) {
        let to = usize::from(envelope.to.allocation.worker);
        let Some(batch) = self.collected.get_mut(to) else { return };
        batch.push(envelope, data);
        if batch.is_full() {
            self.hand_over(to);
        }
    }

    /// The turn ends: what was collected leaves.
    pub(crate) fn depart(&mut self) {
        for to in 0..self.collected.len() {
            if !self.collected[to].is_empty() {
                self.hand_over(to);
            }
        }
    }

    /// Datagrams that were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether something has come since the last turn asked, or was left by it; then
    /// [`next`](Self::next) gives it. To be asked once a turn.
    pub(crate) fn has_arrivals(&mut self) -> bool {
        let door = &self.lanes.doors[self.index];
        // It is cleared before the lanes are looked into: a worker that puts in something later
        // knocks again.
        let knocked =
            door.knocked.load(Ordering::Relaxed) && door.knocked.swap(false, Ordering::AcqRel);
        let has_arrivals = mem::take(&mut self.more) || knocked;
        if has_arrivals {
            (self.unseen, self.taken, self.taken_bytes) = (self.collected.len(), 0, 0);
        }
        has_arrivals
    }

    /// Whether the last turn left something, so that the next is to begin at once.
    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    /// The batch of another lane, to be [given back](Self::give_back). The rest of what is too much
    /// for a turn comes in the next.
    pub(crate) fn next(&mut self) -> Option<Batch> {
        while self.unseen > 0 {
            if self.taken >= TURN_DATAGRAMS || self.taken_bytes >= TURN_BYTES {
                // No knock: the letter would lie in the mailbox that this turn may be draining.
                (self.unseen, self.more) = (0, true);
                return None;
            }
            let from = self.next;
            self.next = (from + 1) % self.collected.len();
            self.unseen -= 1;
            let mut lane = self.lanes.lane(from, self.index);
            if !lane.is_empty() {
                let arrived = mem::replace(&mut *lane, mem::take(&mut self.spare));
                self.used[from][FROM] = true;
                self.taken += arrived.envelopes.len();
                self.taken_bytes += arrived.bytes.len();
                return Some(arrived);
            }
        }
        None
    }

    /// Takes back what [`next`](Self::next) gave: its memory is used again.
    pub(crate) fn give_back(&mut self, mut batch: Batch) {
        batch.clear();
        self.spare = batch;
    }

    /// Frees the buffers of lanes that carried nothing since this was last done, a second ago or
    /// more.
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
                let mut lane = self.lanes.lane(other, self.index);
                if lane.is_empty() {
                    *lane = Batch::default();
                }
            }
        }
    }

    fn hand_over(&mut self, to: usize) {
        self.used[to][TO] = true;
        let lost = self.lanes.lane(self.index, to).append(&mut self.collected[to]);
        self.lost += lost as u64;
        self.lanes.doors[to].knock();
    }
}

#[cfg(test)]
impl Batch {
    /// Its capacity, in bytes.
    fn memory(&self) -> usize {
        self.bytes.capacity() + self.envelopes.capacity() * size_of::<(Envelope, usize)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_net::Mailbox;
    use causeway_net::mailbox::Receiver;
    use causeway_relay::AllocationId;
    use std::thread::JoinHandle;

    fn ends(count: usize) -> (Vec<Crossing>, Vec<Receiver<Mail>>) {
        let boxes: Vec<_> = (0..count).map(|_| Mailbox::new(4).unwrap()).collect();
        let (senders, receivers): (Vec<_>, Vec<_>) =
            boxes.into_iter().map(|mailbox| (mailbox.sender, mailbox.receiver)).unzip();
        (Crossing::between(&senders).into_iter().flatten().collect(), receivers)
    }

    fn envelope(worker: u16, slot: u32) -> Envelope {
        let to = RelayId { allocation: AllocationId { worker, slot, generation: 0 }, index: 0 };
        Envelope { to, from: "192.0.2.1:50000".parse().unwrap(), tos: 0xB8 }
    }

    /// All that one turn takes.
    fn arrived(end: &mut Crossing) -> Vec<(Envelope, Vec<u8>)> {
        let mut all = Vec::new();
        if end.has_arrivals() {
            while let Some(batch) = end.next() {
                all.extend(batch.iter().map(|(envelope, data)| (*envelope, data.to_vec())));
                end.give_back(batch);
            }
        }
        all
    }

    fn letters(mail: &Receiver<Mail>) -> usize {
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
                .map(|(slot, len)| (envelope(2, slot), vec![(slot + round) as u8; len]))
                .collect();
            sent.iter().for_each(|(envelope, data)| ends[0].put(*envelope, data));
            ends[1].put(envelope(2, 99), b"of another");
            ends[0].depart();
            ends[1].depart();
            assert_eq!(letters(&mail[2]), 1, "one wakes for all of them");
            assert_eq!((letters(&mail[0]), letters(&mail[1])), (0, 0));
            let (others, all): (Vec<_>, Vec<_>) = arrived(&mut ends[2])
                .into_iter()
                .partition(|(envelope, _)| envelope.to.allocation.slot == 99);
            assert_eq!(all, sent);
            assert_eq!(others, [(envelope(2, 99), b"of another".to_vec())]);
            assert!(arrived(&mut ends[2]).is_empty());
        }
        assert_eq!(ends[0].lost(), 0);
    }

    #[test]
    fn a_full_lane_loses_the_latest_and_stalls_nobody() {
        let (mut ends, _mail) = ends(2);
        let many = MOST_DATAGRAMS as u32 + 500;
        (0..many).for_each(|slot| ends[0].put(envelope(1, slot), &[1; 10]));
        ends[0].depart();
        let slots: Vec<u32> =
            arrived(&mut ends[1]).iter().map(|(envelope, _)| envelope.to.allocation.slot).collect();
        assert!(slots.iter().copied().eq(0..MOST_DATAGRAMS as u32));
        assert_eq!(ends[0].lost(), 500);
        (0..20).for_each(|slot| ends[0].put(envelope(1, slot), &[2; 65_000]));
        ends[0].depart();
        let large = arrived(&mut ends[1]).len();
        assert_eq!((large, ends[0].lost()), (MOST_BYTES / 65_000, 500 + 20 - large as u64));
        ends[0].put(envelope(1, 1), b"and on");
        ends[0].depart();
        assert_eq!(arrived(&mut ends[1]).len(), 1);
    }

    #[test]
    fn what_is_too_much_for_a_turn_comes_in_the_next() {
        let (mut ends, mail) = ends(4);
        for end in &mut ends[..3] {
            (0..800).for_each(|slot| end.put(envelope(3, slot), b"x"));
            end.depart();
        }
        assert_eq!((letters(&mail[3]), arrived(&mut ends[3]).len()), (1, 1600));
        assert!(ends[3].has_more());
        assert_eq!(
            (letters(&mail[3]), arrived(&mut ends[3]).len()),
            (0, 800),
            "without a letter that the same turn would take"
        );
        assert!(!ends[3].has_more());
        assert_eq!((letters(&mail[3]), arrived(&mut ends[3]).len()), (0, 0));
    }

    #[test]
    fn h52_large_datagrams_of_many_lanes_are_too_much_for_a_turn_too() {
        let (mut ends, _mail) = ends(6);
        for end in &mut ends[..5] {
            (0..7).for_each(|slot| end.put(envelope(5, slot), &[1; 65_000]));
            end.depart();
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
                (0..1000).for_each(|_| end.put(envelope(3, index), b"x"));
                end.depart();
            }
            arrived(&mut ends[3])
                .iter()
                .for_each(|(envelope, _)| seen[envelope.to.allocation.slot as usize] += 1);
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
                (0..200).for_each(|slot| end.put(envelope(to as u16, slot), &[0; 1200]));
            }
            end.depart();
        }
        for end in &mut ends {
            arrived(end);
            end.tidy(second);
        }
        let kept = |ends: &[Crossing]| -> usize {
            let own = ends
                .iter()
                .flat_map(|end| end.collected.iter().chain([&end.spare]))
                .map(Batch::memory)
                .sum::<usize>();
            own + ends[0]
                .lanes
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
        ends[0].put(envelope(1, 7), b"and on");
        ends[0].depart();
        ends[1].tidy(9 * second);
        assert_eq!(arrived(&mut ends[1]).len(), 1, "what waits is no waste");
    }

    #[test]
    fn large_buffers_are_not_kept() {
        let (mut ends, _mail) = ends(2);
        for _ in 0..5 {
            (0..30).for_each(|slot| ends[0].put(envelope(1, slot), &[0; 60_000]));
            ends[0].depart();
            arrived(&mut ends[1]);
        }
        let kept = [&ends[0].collected[1], &ends[1].spare, &*ends[0].lanes.lane(0, 1)]
            .map(|batch| batch.bytes.capacity());
        assert!(kept.iter().all(|bytes| *bytes <= BATCH_BYTES), "{kept:?}");
    }

    /// Takes what there is if a letter says so, and looks at the order of each sender's. How many.
    fn woken(mail: &Receiver<Mail>, receiver: &mut Crossing, next: &mut [u32; 2]) -> u64 {
        if letters(mail) == 0 && !receiver.has_more() {
            return 0;
        }
        let arrived = arrived(receiver);
        for (envelope, data) in &arrived {
            let (sender, number) = (usize::from(envelope.tos), envelope.to.allocation.slot);
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
                        end.put(Envelope { tos: sender, ..envelope(0, slot) }, &slot.to_be_bytes());
                        if slot % 7 == 0 {
                            end.depart();
                            std::thread::yield_now();
                        }
                    }
                    end.depart();
                    end.lost()
                })
            })
            .collect();
        // Each letter is one look, and what a look leaves is another: a look for which no letter
        // came finds nothing that one is missing for.
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
