use causeway_relay::{AllocationRecord, Change, FiveTuple, Ledger, Now, Server, Transport};
use causeway_store::{self as store, RecordId};
use rand::CryptoRng;

use crate::accounts::outlives;
use crate::directory::{Changes, Letter};
use crate::inbox::Outbox;
use crate::proxied::Proxied;
use crate::records::to_store;

/// What a worker has to tell the store. It rings once and then waits to be asked: the worker never waits for anybody.
pub(crate) struct Journal {
    out: Outbox<Letter>,
    /// Whether the control side knows that there is something.
    rung: bool,
    /// The server stops: records of allocations that end with it are deleted.
    stopping: bool,
}

impl Journal {
    pub(crate) fn new(out: Outbox<Letter>) -> Self {
        Self { out, rung: false, stopping: false }
    }

    /// Rings when there is something to be asked for and nobody knows.
    pub(crate) fn ring(&mut self, unwritten: usize) {
        if !self.rung && unwritten > 0 {
            self.rung = self.out.send(Letter::Pending);
        }
    }

    /// Gives up to `limit` changes.
    pub(crate) fn give<L: Ledger, R: CryptoRng>(
        &mut self,
        worker: u16,
        server: &mut Server<L, R>,
        proxied: &Proxied,
        (now, limit): (Now, usize),
    ) {
        let (mut changes, mut lost_count) = (Vec::new(), false);
        while changes.len() < limit {
            match server.poll_change() {
                Some(Change::Changed(id)) => {
                    changes.extend(server.export(now, id).map(|allocation| self.change(&allocation, proxied, now)));
                }
                Some(Change::Ended(record)) => changes.push(store::Change::Delete(RecordId(record))),
                Some(Change::Everything) => lost_count = true,
                None => break,
            }
        }
        self.rung = false;
        let letter = Letter::Changes(Box::new(Changes { worker, changes, lost_count }));
        if !self.out.send(letter) {
            // The control side asks for one answer at a time, so its box has room; where it has not, nothing may be missed.
            server.offer_all();
        }
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
        server.offer_all();
    }

    /// Notes all allocations as changed, and says so.
    pub(crate) fn offer_all<L: Ledger, R: CryptoRng>(&self, worker: u16, server: &mut Server<L, R>) {
        server.offer_all();
        // The control side gives up waiting after a while, and compares again.
        let _told = self.out.send(Letter::Offered(worker));
    }
}
