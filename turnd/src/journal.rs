use std::collections::VecDeque;
use std::time::Duration;

use causeway_relay::{Change, EndReason, Ended, Ledger, Now, Server};
use causeway_store::{self as store, Account, Event, RecordId};
use rand::CryptoRng;

use crate::directory::{Changes, Letter};
use crate::inbox::Outbox;
use crate::records::{millis, to_store, traffic_to_store, transport_to_store};

/// Accounts that wait for the control side; beyond it the oldest is lost, and counted.
const ACCOUNTS: usize = 4096;

/// What a worker has to tell the store. It rings once and then waits to be asked: the worker never waits for anybody.
pub(crate) struct Journal {
    out: Outbox<Letter>,
    /// Whether the control side knows that there is something.
    rung: bool,
    accounts: VecDeque<Account>,
    accounts_lost: u64,
}

impl Journal {
    pub(crate) fn new(out: Outbox<Letter>) -> Self {
        Self { out, rung: false, accounts: VecDeque::new(), accounts_lost: 0 }
    }

    /// Rings when there is something to be asked for and nobody knows.
    pub(crate) fn ring(&mut self, unwritten: usize) {
        if !self.rung && unwritten > 0 {
            self.rung = self.out.send(Letter::Pending);
        }
    }

    /// Gives up to `limit` changes, and the accounts.
    pub(crate) fn give<L: Ledger, R: CryptoRng>(&mut self, worker: u16, server: &mut Server<L, R>, now: Now, limit: usize) {
        let (mut changes, mut lost_count) = (Vec::new(), false);
        while changes.len() < limit {
            match server.poll_change() {
                Some(Change::Changed(id)) => {
                    changes.extend(server.export(now, id).map(|allocation| store::Change::Put(Box::new(to_store(&allocation, now.unix)))));
                }
                Some(Change::Ended(record)) => changes.push(store::Change::Delete(RecordId(record))),
                Some(Change::Everything) => lost_count = true,
                None => break,
            }
        }
        let accounts = self.accounts.drain(..).collect();
        self.rung = false;
        let accounts_lost = std::mem::take(&mut self.accounts_lost);
        let letter = Letter::Changes(Box::new(Changes { worker, changes, accounts, accounts_lost, lost_count }));
        if !self.out.send(letter) {
            // The control side asks for one answer at a time, so its box has room; where it has not, nothing may be missed.
            server.offer_all();
        }
    }

    /// Notes all allocations as changed, and says so.
    pub(crate) fn offer_all<L: Ledger, R: CryptoRng>(&self, worker: u16, server: &mut Server<L, R>) {
        server.offer_all();
        // The control side gives up waiting after a while, and compares again.
        let _told = self.out.send(Letter::Offered(worker));
    }

    /// The account of an allocation that has ended. One that was never made has none.
    pub(crate) fn account(&mut self, unix: Duration, realm: &str, ended: &Ended) {
        if ended.relayed.is_empty() || ended.reason == EndReason::BindFailed {
            return;
        }
        if self.accounts.len() == ACCOUNTS {
            self.accounts.pop_front();
            self.accounts_lost += 1;
        }
        self.accounts.push_back(Account {
            at: millis(unix),
            event: Event::End,
            record: RecordId(ended.record),
            username: ended.credential.username().to_owned(),
            realm: realm.to_owned(),
            client: ended.client.client,
            transport: transport_to_store(ended.client.transport),
            relayed: ended.relayed.to_vec(),
            traffic: traffic_to_store(&ended.traffic),
            duration: ended.duration,
            reason: ended.reason.name(),
        });
    }
}
