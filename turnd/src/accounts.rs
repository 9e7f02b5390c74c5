//! Accounting of allocations: an entry when one starts, while it is live, and when it ends. Each
//! entry is a log line and, with a store, an entry of its stream.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use causeway_daemon::log::{self, redacted};
use causeway_relay::{AllocationId, AllocationRecord, Transport};
use causeway_store::{self as store, Account, Accounting, Event, RecordId};

use crate::inbox::{Inbox, Outbox};
use crate::records::{millis, traffic_to_store, transport_to_store};

/// Maximum number of entries that wait in a worker for the control side; beyond it the oldest is
/// dropped and counted as lost.
const WAITING: usize = 4096;
/// Maximum number of entries in one message.
const BUNDLE: usize = 256;
/// Maximum number of interim entries in one turn of a worker.
const TURN: usize = 64;
/// Number of lines after which to wait for the log's writer, whose queue holds more.
const LINES: usize = 1024;
/// How long to wait before a full mailbox is tried again.
const RETRY: Duration = Duration::from_millis(50);
/// Number of ended allocations tolerated in the heap of due ones, beside as many as are live.
const SPARE: usize = 1024;

/// The reason of entries that are made because the server stops.
pub(crate) const STOP: &str = "stop";

/// Entries on their way to the control side.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    accounts: Vec<Account>,
    /// Number of entries that the worker had to drop.
    lost: u64,
}

impl Bundle {
    /// Moves the entries into the spool that the store's writer empties.
    pub(crate) fn spool(self, spool: &Accounting) {
        self.accounts.into_iter().for_each(|account| spool.push(account));
        spool.lose(self.lost);
    }
}

/// The last entries of a worker when the server stops: those that waited, and one for each of its
/// allocations, with its session.
pub(crate) struct Last {
    pub(crate) waiting: Bundle,
    pub(crate) accounts: Vec<(Account, String, AllocationId)>,
}

impl Last {
    /// Writes the entries to the log and the spool. Unlike a worker this may wait for the log's
    /// writer until `deadline`, so that no line is dropped.
    pub(crate) fn tell(self, spool: Option<&Accounting>, deadline: Instant) {
        if let Some(spool) = spool {
            self.waiting.spool(spool);
        }
        for (count, (account, session, allocation)) in self.accounts.into_iter().enumerate() {
            log_entry(&account, Some(&session), Some(allocation));
            if count % LINES == LINES - 1 && Instant::now() < deadline {
                log::flush();
            }
            if let Some(spool) = spool {
                spool.push(account);
            }
        }
    }
}

/// Moves the workers' entries into the spool, whatever the state of the store. Never ends.
pub(crate) async fn collect(mut inbox: Inbox<Bundle>, spool: Accounting) {
    while let Some(bundle) = inbox.next().await {
        bundle.spool(&spool);
    }
    std::future::pending::<()>().await;
}

/// A worker's entries. It never waits for another thread.
#[derive(Default)]
pub(crate) struct Accounts {
    interim: Option<Duration>,
    /// The allocations by the time of their next interim entry; some have ended by then.
    due: BinaryHeap<Reverse<(Duration, AllocationId)>>,
    /// Upper bound of the ended allocations in `due`.
    ended: usize,
    out: Option<Outbox<Bundle>>,
    waiting: VecDeque<Account>,
    lost: u64,
    retry_at: Option<Duration>,
    /// Whether the server stops: allocations that end with it have their last entry.
    stopping: bool,
}

impl Accounts {
    /// Makes an interim entry every `interim` of an allocation's life.
    pub(crate) fn new(interim: Option<Duration>) -> Self {
        Self { interim, ..Self::default() }
    }

    /// Sends entries to the store, too, from now on.
    pub(crate) fn send_to(&mut self, out: Outbox<Bundle>) {
        self.out = Some(out);
    }

    /// Watches an allocation that has started, or was restored, at the age `age`.
    pub(crate) fn watch(&mut self, now: Duration, id: AllocationId, age: Duration) {
        if let Some(interim) = self.interim {
            let lived = Duration::from_nanos((age.as_nanos() % interim.as_nanos()) as u64);
            self.due.push(Reverse((now + interim - lived, id)));
        }
    }

    /// Stops watching an allocation that has ended. `lives` says whether another one is live.
    pub(crate) fn unwatch(&mut self, lives: impl Fn(AllocationId) -> bool) {
        if self.interim.is_none() {
            return;
        }
        self.ended += 1;
        if self.ended > self.due.len() / 2 + SPARE {
            self.due.retain(|Reverse((_, id))| lives(*id));
            self.ended = 0;
        }
    }

    /// The allocations whose interim entry is due now, each once.
    pub(crate) fn take_due(
        &mut self,
        now: Duration,
        lives: impl Fn(AllocationId) -> bool,
    ) -> Vec<AllocationId> {
        let Some(interim) = self.interim else { return Vec::new() };
        let mut taken = Vec::new();
        while let Some(&Reverse((due, id))) =
            self.due.peek().filter(|next| next.0.0 <= now && taken.len() < TURN)
        {
            self.due.pop();
            if lives(id) {
                // After a pause of the process, one entry is enough.
                self.due.push(Reverse(((due + interim).max(now + interim / 2), id)));
                taken.push(id);
            } else {
                self.ended = self.ended.saturating_sub(1);
            }
        }
        taken
    }

    /// The time of the next interim entry or retry.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let due = self.due.peek().map(|Reverse((due, _))| *due);
        [due, self.retry_at].into_iter().flatten().min()
    }

    /// Queues an entry for the store, if there is one.
    pub(crate) fn put(&mut self, account: Account) {
        if self.out.is_none() {
            return;
        }
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(account);
    }

    /// Sends waiting entries, as many as the mailbox has room for.
    pub(crate) fn send(&mut self, now: Duration) {
        self.retry_at = None;
        let Some(out) = &self.out else { return };
        while !self.waiting.is_empty() || self.lost > 0 {
            let accounts = self.waiting.drain(..self.waiting.len().min(BUNDLE)).collect();
            let bundle = Bundle { accounts, lost: std::mem::take(&mut self.lost) };
            let Err(back) = out.send(bundle) else { continue };
            back.accounts.into_iter().rev().for_each(|account| self.waiting.push_front(account));
            self.lost = back.lost;
            self.retry_at = Some(now + RETRY);
            return;
        }
    }

    /// Notes that the server stops.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
    }

    /// Whether the server stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Takes all waiting entries.
    pub(crate) fn take_all(&mut self) -> Bundle {
        Bundle { accounts: self.waiting.drain(..).collect(), lost: std::mem::take(&mut self.lost) }
    }
}

/// The entry of an allocation that starts or is live.
pub(crate) fn account(
    unix: Duration,
    event: Event,
    realm: &str,
    allocation: &AllocationRecord,
    reason: &'static str,
) -> Account {
    Account {
        at: millis(unix),
        event,
        record: RecordId(allocation.id),
        username: allocation.credential.username().to_owned(),
        realm: realm.to_owned(),
        client: allocation.five_tuple.client,
        transport: transport_to_store(allocation.five_tuple.transport),
        relayed: allocation.relayed.iter().map(|relayed| relayed.address.advertised.0).collect(),
        traffic: traffic_to_store(&allocation.traffic),
        duration: allocation.age,
        reason,
    }
}

/// The entry of an allocation of the previous process that cannot be restored.
pub(crate) fn account_of_record(
    unix: Duration,
    realm: &str,
    record: &store::Record,
    reason: &'static str,
) -> Account {
    let end = millis(unix).min(record.expires_at);
    Account {
        at: millis(unix),
        event: Event::End,
        record: record.id,
        username: record.credential.username.clone(),
        realm: realm.to_owned(),
        client: record.five_tuple.client,
        transport: record.five_tuple.transport,
        relayed: record.relayed.iter().map(|relayed| relayed.advertised).collect(),
        traffic: record.traffic,
        duration: Duration::from_millis(end.saturating_sub(record.created_at)),
        reason,
    }
}

/// Logs an entry. An allocation of the previous process has no session and no number in this one.
pub(crate) fn log_entry(
    account: &Account,
    session: Option<&str>,
    allocation: Option<AllocationId>,
) {
    let (user, client, transport) =
        (account.username.as_str(), redacted(account.client), account.transport.name());
    let (session, allocation) =
        (session.map(tracing::field::display), allocation.map(tracing::field::display));
    let (record, relayed, traffic, reason) =
        (account.record, &account.relayed, account.traffic, account.reason);
    let (packets_to_peer, bytes_to_peer) = (traffic.packets_to_peer, traffic.bytes_to_peer);
    let (packets_to_client, bytes_to_client) = (traffic.packets_to_client, traffic.bytes_to_client);
    let seconds = account.duration.as_secs();
    macro_rules! line {
        ($($fields:tt)*) => {
            tracing::info!(
                session, allocation, %record, user, %client, transport, ?relayed, $($fields)*
            )
        };
    }
    match account.event {
        Event::Start => line!("allocation started"),
        Event::Interim => {
            line!(
                seconds,
                packets_to_peer,
                bytes_to_peer,
                packets_to_client,
                bytes_to_client,
                reason,
                "allocation continues"
            );
        }
        Event::End => {
            line!(
                seconds,
                packets_to_peer,
                bytes_to_peer,
                packets_to_client,
                bytes_to_client,
                reason,
                "allocation ended"
            );
        }
    }
}

/// Whether an allocation outlives the process: a UDP client needs no connection to it.
pub(crate) fn outlives(has_store: bool, transport: Transport) -> bool {
    has_store && transport == Transport::Udp
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::inbox;

    const MINUTE: Duration = Duration::from_secs(60);

    fn id(slot: u32) -> AllocationId {
        AllocationId { worker: 0, slot, generation: 0 }
    }

    #[test]
    fn each_allocation_is_due_once_an_interval_of_its_life() {
        let mut accounts = Accounts::new(Some(5 * MINUTE));
        accounts.watch(Duration::ZERO, id(1), Duration::ZERO);
        accounts.watch(MINUTE, id(2), Duration::ZERO);
        accounts.watch(MINUTE, id(3), 13 * MINUTE);
        assert_eq!(
            accounts.next_deadline(),
            Some(3 * MINUTE),
            "the third is restored and 15 minutes old then"
        );
        let mut told = Vec::new();
        for minute in 1..=11 {
            told.extend(
                accounts
                    .take_due(minute * MINUTE, |_| true)
                    .into_iter()
                    .map(|id| (minute, id.slot)),
            );
        }
        assert_eq!(told, [(3, 3), (5, 1), (6, 2), (8, 3), (10, 1), (11, 2)]);
        assert!(
            accounts.take_due(20 * MINUTE, |id| id.slot == 2).len() == 1 && accounts.due.len() == 1
        );
    }

    #[test]
    fn h33_what_has_ended_takes_no_memory_until_it_is_due() {
        let mut accounts = Accounts::new(Some(5 * MINUTE));
        for slot in 0..100_000 {
            accounts.watch(Duration::ZERO, id(slot), Duration::ZERO);
            accounts.unwatch(|id| id.slot == 0);
            assert!(accounts.due.len() <= 2 * SPARE + 4, "{}", accounts.due.len());
        }
        let mut none = Accounts::new(None);
        none.watch(Duration::ZERO, id(1), Duration::ZERO);
        assert_eq!((none.next_deadline(), none.take_due(MINUTE, |_| true)), (None, vec![]));
    }

    #[test]
    fn h50_accounts_that_find_no_room_wait_and_beyond_the_maximum_are_counted() {
        let (out, mut inbox) = inbox(1);
        let mut accounts = Accounts::new(None);
        let entry = |at| Account {
            at,
            event: Event::End,
            record: RecordId(1),
            username: "alice".into(),
            realm: "example.org".into(),
            client: "192.0.2.1:1".parse().unwrap(),
            transport: store::Transport::Udp,
            relayed: vec![],
            traffic: store::Traffic::default(),
            duration: Duration::ZERO,
            reason: STOP,
        };
        accounts.put(entry(0));
        assert!(accounts.waiting.is_empty(), "without a store there is no receiver");
        accounts.send_to(out);
        let made = 2 * BUNDLE + WAITING + 7;
        (0..BUNDLE).for_each(|at| accounts.put(entry(at as u64)));
        accounts.send(Duration::ZERO);
        (BUNDLE..made).for_each(|at| accounts.put(entry(at as u64)));
        accounts.send(Duration::ZERO);
        assert_eq!((accounts.waiting.len(), accounts.next_deadline()), (WAITING, Some(RETRY)));
        let spool = Accounting::new(usize::MAX, usize::MAX);
        while let Some(bundle) = inbox.take() {
            bundle.spool(&spool);
            accounts.send(RETRY);
        }
        assert_eq!(
            (spool.depth() + spool.lost() as usize, spool.lost()),
            (made, BUNDLE as u64 + 7)
        );
        assert_eq!(accounts.next_deadline(), None);
    }
}
