//! The record of every datagram sent: which arrived, late, twice, changed or at the wrong client.

use std::time::Duration;

use crate::load::Measured;
use crate::load::histogram::Histogram;
use crate::load::payload;

/// The datagrams sent, and what became of them.
pub(crate) struct Ledger {
    slots: Box<[Slot]>,
    next: u64,
    /// Datagrams with lower numbers are no longer waited for.
    awaited_from: u64,
    /// The first number of this run; lower ones belong to an earlier run.
    first: u64,
    under_way: usize,
    counts: Measured,
    latencies: Histogram,
    /// The highest number that has arrived in each flow.
    latest: Box<[u64]>,
    begun: u64,
    last_arrival: u64,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    number: u64,
    sent: u64,
    flow: u32,
    len: u16,
    pending: bool,
}

impl Ledger {
    /// A ledger for this many datagrams under way, and as many that may still arrive, of flows with
    /// numbers below `flows`.
    pub(crate) fn new(under_way: usize, flows: usize) -> Self {
        let slots =
            vec![Slot::default(); (2 * under_way).next_power_of_two().max(4096)].into_boxed_slice();
        Self {
            slots,
            next: 1,
            awaited_from: 1,
            first: 1,
            under_way: 0,
            counts: Measured::default(),
            latencies: Histogram::new(),
            latest: vec![0; flows].into_boxed_slice(),
            begun: 0,
            last_arrival: 0,
        }
    }

    /// Starts a run with all counts at zero. Datagrams of earlier runs are neither waited for nor
    /// counted.
    pub(crate) fn begin(&mut self, now: u64) {
        self.give_up();
        self.first = self.next;
        self.counts = Measured::default();
        self.latencies.clear();
        (self.begun, self.last_arrival) = (now, now);
    }

    /// Number of datagrams that have neither arrived nor been given up.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    pub(crate) fn sent(&self) -> u64 {
        self.counts.sent
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.counts.delivered
    }

    /// Gives up what is under way; it counts as lost unless it still arrives.
    pub(crate) fn give_up(&mut self) {
        self.awaited_from = self.next;
        self.under_way = 0;
    }

    /// Records a datagram of `flow` and writes its content.
    pub(crate) fn send(&mut self, flow: u32, now: u64, data: &mut [u8]) {
        let number = self.next;
        self.next += 1;
        let index = self.index(number);
        let slot = &mut self.slots[index];
        if slot.pending && slot.number >= self.awaited_from {
            // The slot's previous datagram is so old that it counts as lost.
            self.under_way -= 1;
        }
        *slot = Slot { number, sent: now, flow, len: data.len() as u16, pending: true };
        self.counts.sent += 1;
        self.under_way += 1;
        payload::write(data, number, flow);
    }

    /// Records data that arrived at the end of `flow`; `genuine` if it came from the correct
    /// address on the correct channel.
    pub(crate) fn arrive(&mut self, data: &[u8], flow: u32, genuine: bool, now: u64) {
        let Some((number, claimed)) = self.whole(data) else {
            self.counts.corrupt += 1;
            return;
        };
        if claimed != flow || !genuine {
            self.counts.misdelivered += 1;
            return;
        }
        let index = self.index(number);
        let slot = &mut self.slots[index];
        if slot.number != number {
            // It arrives so late that its slot was reused; it stays lost.
            return;
        }
        if !slot.pending {
            self.counts.duplicates += 1;
            return;
        }
        slot.pending = false;
        let sent = slot.sent;
        self.under_way -= usize::from(number >= self.awaited_from);
        if number >= self.first {
            self.counts.delivered += 1;
            self.counts.bytes += data.len() as u64;
            self.latencies.add(now.saturating_sub(sent));
            self.last_arrival = now;
            let latest = &mut self.latest[flow as usize];
            self.counts.late += u64::from(number < *latest);
            *latest = number.max(*latest);
        }
    }

    /// Whether this was sent, unchanged. Records it otherwise.
    pub(crate) fn passes(&mut self, data: &[u8], flow: u32, genuine: bool) -> bool {
        let Some((_, claimed)) = self.whole(data) else {
            self.counts.corrupt += 1;
            return false;
        };
        self.counts.misdelivered += u64::from(claimed != flow || !genuine);
        claimed == flow && genuine
    }

    /// Records a message that is none of our datagrams.
    pub(crate) fn corrupt(&mut self) {
        self.counts.corrupt += 1;
    }

    fn whole(&self, data: &[u8]) -> Option<(u64, u32)> {
        let (number, flow) = payload::read(data)?;
        let slot = &self.slots[self.index(number)];
        // The flow and the length of a number are known while its slot is in use.
        let told =
            slot.number != number || (slot.flow == flow && usize::from(slot.len) == data.len());
        (number < self.next && told).then_some((number, flow))
    }

    /// Records that a request was sent; its transaction identifies it.
    pub(crate) fn ask(&mut self) {
        self.counts.sent += 1;
    }

    /// Records that it was answered correctly.
    pub(crate) fn answer(&mut self, asked: u64, now: u64) {
        self.counts.delivered += 1;
        self.latencies.add(now.saturating_sub(asked));
        self.last_arrival = now;
    }

    pub(crate) fn measured(&self) -> Measured {
        let elapsed = Duration::from_nanos(self.last_arrival - self.begun);
        Measured { elapsed, latencies: self.latencies.latencies(), ..self.counts }
    }

    fn index(&self, number: u64) -> usize {
        number as usize & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(ledger: &mut Ledger, flow: u32) -> Vec<u8> {
        let mut data = vec![0; 40];
        ledger.send(flow, 0, &mut data);
        data
    }

    #[test]
    fn each_fate_is_counted() {
        let mut ledger = Ledger::new(8, 8);
        let [good, lost, swapped, mut broken, wrong_source] =
            [0; 5].map(|flow| sent(&mut ledger, flow));
        ledger.arrive(&good, 0, true, 1_000);
        ledger.arrive(&good, 0, true, 1_000);
        ledger.arrive(&swapped, 1, true, 1_000);
        broken[20] ^= 1;
        ledger.arrive(&broken, 0, true, 1_000);
        ledger.arrive(&wrong_source, 0, false, 1_000);
        ledger.arrive(&lost[..39], 0, true, 1_000);
        let found = ledger.measured();
        assert_eq!(
            (found.sent, found.delivered, found.duplicates, found.misdelivered, found.corrupt),
            (5, 1, 1, 2, 2)
        );
        assert_eq!((found.lost(), ledger.under_way()), (4, 4));
        assert_eq!(found.latencies.max, Duration::from_micros(1));
    }

    #[test]
    fn late_is_what_arrives_after_a_later_one_of_its_own_flow() {
        let mut ledger = Ledger::new(8, 8);
        let [first, other, second, third, lost, fourth] =
            [2, 3, 2, 2, 2, 2].map(|flow| sent(&mut ledger, flow));
        for (data, flow) in
            [(&second, 2), (&first, 2), (&other, 3), (&fourth, 2), (&third, 2), (&third, 2)]
        {
            ledger.arrive(data, flow, true, 1);
        }
        let found = ledger.measured();
        assert_eq!((found.late, found.delivered, found.duplicates, found.lost()), (2, 5, 1, 1));
        assert_eq!(found.bytes, 5 * 40);
        // The next run counts from zero, and still knows what has arrived.
        ledger.begin(2);
        ledger.arrive(&lost, 2, true, 3);
        assert_eq!(ledger.measured().late, 0, "it is of the run before");
    }

    #[test]
    fn what_comes_after_it_was_given_up_is_no_loss() {
        let mut ledger = Ledger::new(8, 8);
        let late = sent(&mut ledger, 3);
        ledger.give_up();
        assert_eq!(ledger.under_way(), 0);
        ledger.arrive(&late, 3, true, 9);
        assert_eq!((ledger.measured().delivered, ledger.under_way()), (1, 0));
    }

    #[test]
    fn what_comes_in_the_next_run_is_not_counted_there() {
        let mut ledger = Ledger::new(8, 8);
        let late = sent(&mut ledger, 3);
        ledger.begin(5);
        ledger.arrive(&late, 3, true, 9);
        assert_eq!((ledger.measured().sent, ledger.measured().delivered), (0, 0));
    }

    #[test]
    fn a_number_that_was_never_given_is_corrupt() {
        let mut ledger = Ledger::new(8, 8);
        let mut data = vec![0; 40];
        payload::write(&mut data, 999, 0);
        ledger.arrive(&data, 0, true, 1);
        assert_eq!(ledger.measured().corrupt, 1);
    }

    #[test]
    fn a_slot_that_is_needed_is_given_up() {
        let mut ledger = Ledger::new(8, 8);
        let first = sent(&mut ledger, 0);
        for _ in 0..4096 {
            sent(&mut ledger, 0);
        }
        assert_eq!(ledger.under_way(), 4096);
        ledger.arrive(&first, 0, true, 1);
        assert_eq!((ledger.measured().delivered, ledger.under_way()), (0, 4096));
    }
}
