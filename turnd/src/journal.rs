use causeway_relay::{AllocationRecord, Change, FiveTuple, Ledger, Now, Server, Transport};
use causeway_store::{self as store, RecordId};
use rand::CryptoRng;

use crate::accounts::outlives;
use crate::counters::Counters;
use crate::directory::{Changes, Letter};
use crate::inbox::Outbox;
use crate::proxied::Proxied;
use crate::records::to_store;

/// What a worker has to tell the store. It rings once and then waits to be asked: the worker never waits for anybody.
pub(crate) struct Journal {
    worker: u16,
    out: Outbox<Letter>,
    /// Whether the control side knows that there is something.
    rung: bool,
    /// The latest comparison that all allocations are offered to.
    round: u64,
    /// A letter that found no room: the next one carries what is in it.
    unsent: Option<Box<Changes>>,
    /// The server stops: records of allocations that end with it are deleted.
    stopping: bool,
}

impl Journal {
    pub(crate) fn new(worker: u16, out: Outbox<Letter>) -> Self {
        Self { worker, out, rung: false, round: 0, unsent: None, stopping: false }
    }

    /// Shows how much waits, and rings when the control side does not know of it.
    pub(crate) fn ring(&mut self, counters: &Counters, unwritten: usize) {
        if let Some(letter) = self.unsent.take() {
            self.send(letter);
        }
        let waiting = self.show(counters, unwritten);
        if !self.rung && waiting > 0 {
            self.rung = self.out.send(Letter::Pending).is_ok();
        }
    }

    /// Gives up to `limit` changes.
    pub(crate) fn give<L: Ledger, R: CryptoRng>(
        &mut self,
        counters: &Counters,
        server: &mut Server<L, R>,
        proxied: &Proxied,
        (now, limit): (Now, usize),
    ) {
        let mut letter = self.unsent.take().unwrap_or_default();
        letter.worker = self.worker;
        while letter.changes.len() < limit {
            match server.poll_change() {
                Some(Change::Changed(id)) => {
                    letter.changes.extend(server.export(now, id).map(|allocation| self.change(&allocation, proxied, now)));
                }
                Some(Change::Ended(record)) => letter.changes.push(store::Change::Delete(RecordId(record))),
                Some(Change::Everything) => letter.lost_count = true,
                None => break,
            }
        }
        letter.offered = (server.offer_left() == 0).then_some(self.round);
        self.rung = false;
        // Before the letter leaves: who reads it goes by this number.
        self.show(counters, server.unwritten());
        self.send(letter);
    }

    fn change(&self, allocation: &AllocationRecord, proxied: &Proxied, now: Now) -> store::Change {
        if self.stopping && !outlives(true, allocation.five_tuple.transport) {
            return store::Change::Delete(RecordId(allocation.id));
        }
        let FiveTuple { client, server, transport } = allocation.five_tuple;
        let proxy = proxied.find(client, server).filter(|_| transport == Transport::Udp);
        store::Change::Put(Box::new(to_store(allocation, proxy, now.unix)))
    }

    /// The server stops: what goes on in another process is written as it stands now, and what does not is deleted.
    pub(crate) fn stop<L: Ledger, R: CryptoRng>(&mut self, server: &mut Server<L, R>) {
        self.stopping = true;
        server.note_all();
    }

    /// Offers all allocations to the comparison of this number: the letter with the last of them names it.
    pub(crate) fn offer_all<L: Ledger, R: CryptoRng>(&mut self, counters: &Counters, server: &mut Server<L, R>, round: u64) {
        server.offer_all();
        self.round = round;
        self.show(counters, server.unwritten());
    }

    /// The number that the control side goes by: more than none while there is anything to be asked for.
    fn show(&self, counters: &Counters, unwritten: usize) -> usize {
        let waiting = unwritten + self.unsent.as_ref().map_or(0, |letter| letter.changes.len().max(1));
        counters.unwritten.set(waiting as u64);
        waiting
    }

    fn send(&mut self, letter: Box<Changes>) {
        // The control side asks for one answer at a time, so its box has room; where it has not, nothing may be missed.
        if let Err(Letter::Changes(back)) = self.out.send(Letter::Changes(letter)) {
            self.unsent = Some(back);
        }
    }
}
