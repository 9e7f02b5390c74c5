//! The accounts of a worker's allocations.

use causeway_net::Sample;
use causeway_relay::{AllocationId, EndReason, Ended, Transport};
use causeway_store::{Account, Event, Record, RecordId};

use super::{Worker, at};
use crate::accounts::{self, Last, STOP, outlives};
use crate::records::{millis, traffic_to_store, transport_to_store};
use crate::store::restoration::TAKEN;

impl Worker {
    pub(super) fn account_start(&mut self, now: Sample, id: AllocationId) {
        self.accounts.watch(now.monotonic, id, std::time::Duration::ZERO);
        self.account(now, id, Event::Start, "");
    }

    /// Writes the interim accounts that are due.
    pub(super) fn account_due(&mut self, now: Sample) {
        let server = &self.server;
        for id in self.accounts.take_due(now.monotonic, |id| server.traffic(id).is_some()) {
            self.account(now, id, Event::Interim, "");
        }
        self.accounts.send(now.monotonic);
    }

    /// Writes the last account of an allocation. One that was never made has none.
    pub(super) fn account_end(&mut self, now: Sample, ended: &Ended) {
        if ended.relayed.is_empty() || ended.reason == EndReason::BindFailed {
            return;
        }
        let server = &self.server;
        self.accounts.unwatch(|id| server.traffic(id).is_some());
        if self.has_stopped(ended.client.transport) {
            return;
        }
        let account = Account {
            at: millis(now.unix),
            event: Event::End,
            record: RecordId(ended.record),
            username: ended.credential.username().to_owned(),
            realm: self.server.realm().to_owned(),
            client: ended.client.client,
            transport: transport_to_store(ended.client.transport),
            relayed: ended.relayed.iter().map(|address| address.0).collect(),
            traffic: traffic_to_store(&ended.traffic),
            duration: ended.duration,
            reason: ended.reason.name(),
        };
        accounts::log_entry(&account, Some(&self.session(&ended.client)), Some(ended.allocation));
        self.accounts.put(account);
    }

    /// Writes the last account of an allocation of the previous process that cannot be restored.
    pub(super) fn account_left(&mut self, now: Sample, record: &Record) {
        let account = accounts::account_of_record(now.unix, self.server.realm(), record, TAKEN);
        accounts::log_entry(&account, None, None);
        self.accounts.put(account);
    }

    /// The accounts of all allocations when the server stops: the last one of those that end with
    /// it, an interim one of those that outlive it. The control side logs and stores them.
    pub(super) fn account_stop(&mut self, now: Sample) -> Last {
        let mut last = Last { waiting: self.accounts.take_all(), accounts: Vec::new() };
        for id in self.server.allocation_ids().collect::<Vec<_>>() {
            let Some(allocation) = self.server.export(at(now), id) else { continue };
            let goes_on = outlives(self.journal.is_some(), allocation.five_tuple.transport);
            let event = if goes_on { Event::Interim } else { Event::End };
            let account =
                accounts::account(now.unix, event, self.server.realm(), &allocation, STOP);
            last.accounts.push((account, self.session(&allocation.five_tuple), id));
        }
        self.accounts.stop();
        last
    }

    fn account(&mut self, now: Sample, id: AllocationId, event: Event, reason: &'static str) {
        let Some(allocation) = self.server.export(at(now), id) else { return };
        if self.has_stopped(allocation.five_tuple.transport) {
            return;
        }
        let account = accounts::account(now.unix, event, self.server.realm(), &allocation, reason);
        accounts::log_entry(&account, Some(&self.session(&allocation.five_tuple)), Some(id));
        self.accounts.put(account);
    }

    /// Whether allocations over this transport have got their last account already.
    fn has_stopped(&self, transport: Transport) -> bool {
        self.accounts.is_stopping() && !outlives(self.journal.is_some(), transport)
    }
}
