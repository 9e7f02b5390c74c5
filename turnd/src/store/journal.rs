//! A worker's changes for the store: announced once, and sent when the control side asks for them.

use causeway_relay::{AllocationRecord, Change, Ledger, Now, Server};
use causeway_store::{self as store, RecordId};
use rand::CryptoRng;

use crate::accounts::outlives;
use crate::clients::proxied::Proxied;
use crate::counters::Counters;
use crate::inbox::Outbox;
use crate::records::to_store;
use crate::store::directory::{Changes, WorkerMessage};

/// A worker's changes for the store. It announces them with one message, and sends them when it is
/// asked, so that the worker never waits.
pub(crate) struct Journal {
    worker: u16,
    out: Outbox<WorkerMessage>,
    /// Whether the control side knows that changes wait.
    announced: bool,
    /// Number of the latest comparison that all allocations are offered to.
    round: u64,
    /// A message that found no room; the next one includes its changes.
    unsent: Option<Box<Changes>>,
    /// Whether the server stops: records of allocations that end with it are deleted.
    stopping: bool,
}

impl Journal {
    pub(crate) fn new(worker: u16, out: Outbox<WorkerMessage>) -> Self {
        Self { worker, out, announced: false, round: 0, unsent: None, stopping: false }
    }

    /// Updates the number of waiting changes, and announces them unless that is done already.
    pub(crate) fn announce(&mut self, counters: &Counters, unwritten: usize) {
        if let Some(message) = self.unsent.take() {
            self.send(message);
        }
        let waiting = self.show(counters, unwritten);
        if !self.announced && waiting > 0 {
            self.announced = self.out.send(WorkerMessage::Pending).is_ok();
        }
    }

    /// Sends up to `limit` changes.
    pub(crate) fn give<L: Ledger, R: CryptoRng>(
        &mut self,
        counters: &Counters,
        server: &mut Server<L, R>,
        proxied: &Proxied,
        (now, limit): (Now, usize),
    ) {
        let mut message = self.unsent.take().unwrap_or_default();
        message.worker = self.worker;
        while message.changes.len() < limit {
            match server.poll_change() {
                Some(Change::Changed(id)) => {
                    message.changes.extend(
                        server
                            .export(now, id)
                            .map(|allocation| self.change(&allocation, proxied, now)),
                    );
                }
                Some(Change::Ended(record)) => {
                    message.changes.push(store::Change::Delete(RecordId(record)));
                }
                Some(Change::Everything) => message.lost_count = true,
                None => break,
            }
        }
        message.offered = (server.offer_left() == 0).then_some(self.round);
        self.announced = false;
        // Before the message leaves, because its reader relies on this number. If it does not
        // leave, its changes count as waiting.
        self.show(counters, server.unwritten());
        self.send(message);
        if self.unsent.is_some() {
            self.show(counters, server.unwritten());
        }
    }

    fn change(&self, allocation: &AllocationRecord, proxied: &Proxied, now: Now) -> store::Change {
        if self.stopping && !outlives(true, allocation.five_tuple.transport) {
            return store::Change::Delete(RecordId(allocation.id));
        }
        let proxy = proxied.find(&allocation.five_tuple);
        store::Change::Put(Box::new(to_store(allocation, proxy, now.unix)))
    }

    /// Prepares for shutdown: writes the current state of allocations that outlive the process, and
    /// deletes the records of the others.
    pub(crate) fn stop<L: Ledger, R: CryptoRng>(&mut self, server: &mut Server<L, R>) {
        self.stopping = true;
        server.note_all();
    }

    /// Offers all allocations to the comparison of this number. The message with the last of them
    /// contains the number.
    pub(crate) fn offer_all<L: Ledger, R: CryptoRng>(
        &mut self,
        counters: &Counters,
        server: &mut Server<L, R>,
        round: u64,
    ) {
        server.offer_all();
        self.round = round;
        self.show(counters, server.unwritten());
    }

    /// Updates the counter of waiting changes, by which the control side decides whether to ask.
    fn show(&self, counters: &Counters, unwritten: usize) -> usize {
        let waiting =
            unwritten + self.unsent.as_ref().map_or(0, |message| message.changes.len().max(1));
        counters.unwritten.set(waiting as u64);
        waiting
    }

    fn send(&mut self, message: Box<Changes>) {
        // The control side asks for one answer at a time, so its mailbox has room. If it has none,
        // no change may be lost.
        if let Err(WorkerMessage::Changes(back)) = self.out.send(WorkerMessage::Changes(message)) {
            self.unsent = Some(back);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use causeway_auth::{Authenticator, Credential, Credentials, Key, Protection};
    use causeway_relay::{
        ChannelPermission, Command, Config, DeniedPeers, Families, FiveTuple, Limits, PeerPolicy,
        RelayedRecord, RelayedTransportAddress, Traffic, Transport, Unlimited,
    };
    use causeway_wire::{ChannelRange, TransactionId};
    use rand::rngs::StdRng;

    use causeway_relay::{AdvertisedAddress, BoundAddress};

    use super::*;
    use crate::inbox::inbox;
    use crate::store::nonces;

    const NOW: Now =
        Now { monotonic: Duration::from_secs(1), unix: Duration::from_secs(1_800_000_000) };

    fn server() -> Server<Unlimited, StdRng> {
        let config = Config {
            worker: 0,
            families: Families { ipv4: true, ipv6: false },
            channels: ChannelRange::Rfc8656,
            channel_permission: ChannelPermission::WithChannel,
            limits: Limits {
                default_lifetime: Duration::from_secs(600),
                max_lifetime: Duration::from_secs(3600),
                permissions_per_allocation: 1,
                channels_per_allocation: 1,
                allocations_per_prefix: 1000,
                allocations: 1000,
            },
            policy: PeerPolicy::new(&[], Vec::new(), Vec::new(), 49_152..=65_535),
            denied: DeniedPeers::Refuse,
            track_changes: true,
            unauthenticated: None,
            external: Vec::new(),
            software: None,
        };
        let realm = Authenticator::new(
            "r",
            Credentials::new(),
            nonces::of_process(Duration::from_secs(60)),
            0,
        );
        Server::new(config, Arc::new(realm), Unlimited, rand::make_rng())
    }

    /// Creates and ends a number of allocations.
    fn churn(server: &mut Server<Unlimited, StdRng>, times: u64) {
        let address = RelayedTransportAddress {
            bound: BoundAddress(([127, 0, 0, 1], 50_000).into()),
            advertised: AdvertisedAddress(([127, 0, 0, 1], 50_000).into()),
        };
        for id in 0..times {
            let record = AllocationRecord {
                id,
                five_tuple: FiveTuple {
                    client: ([192, 0, 2, 1], 9).into(),
                    server: ([127, 0, 0, 1], 3478).into(),
                    transport: Transport::Udp,
                },
                credential: Arc::new(Credential::new("u", Key::long_term_md5("u", "r", "p"))),
                protection: Protection::Unnamed,
                transaction: TransactionId([9; 12]),
                age: Duration::ZERO,
                lifetime: Duration::from_secs(600),
                relayed: vec![RelayedRecord { address, time_to_expiry: Duration::from_secs(600) }],
                permissions: Vec::new(),
                channels: Vec::new(),
                traffic: Traffic::default(),
            };
            let adopted = server.adopt(NOW, &record).unwrap();
            server.handle_command(NOW, Command::End(adopted));
            while server.poll_effect().is_some() {}
        }
    }

    fn changes(message: Option<WorkerMessage>) -> Changes {
        match message {
            Some(WorkerMessage::Changes(changes)) => *changes,
            Some(WorkerMessage::Pending) => panic!("it was asked for already"),
            None => panic!("no message"),
        }
    }

    #[test]
    fn h47_a_message_that_finds_no_room_is_kept_and_counts() {
        let (out, mut inbox) = inbox(1);
        let (mut journal, mut server, counters) =
            (Journal::new(3, out.clone()), server(), Counters::default());
        churn(&mut server, 5000);
        assert!(out.send(WorkerMessage::Pending).is_ok());
        journal.give(&counters, &mut server, &Proxied::default(), (NOW, 10));
        assert!(counters.unwritten.value() > 0, "it is still to be asked for");
        // What changes until there is room comes with it.
        churn(&mut server, 2);
        journal.offer_all(&counters, &mut server, 7);
        journal.give(&counters, &mut server, &Proxied::default(), (NOW, 10));
        assert!(matches!(inbox.take(), Some(WorkerMessage::Pending)));
        journal.announce(&counters, server.unwritten());
        let message = changes(inbox.take());
        assert!(message.lost_count, "that changes were given up is not forgotten");
        assert_eq!((message.worker, message.changes.len(), message.offered), (3, 2, Some(7)));
        assert_eq!(counters.unwritten.value(), 0);
    }

    #[test]
    fn h47_the_counter_says_what_is_left_before_the_message_leaves() {
        let (out, mut inbox) = inbox(4);
        let (mut journal, mut server, counters) =
            (Journal::new(0, out), server(), Counters::default());
        churn(&mut server, 5);
        // Nothing has run since: what the control side reads beside a message is right already.
        journal.give(&counters, &mut server, &Proxied::default(), (NOW, 2));
        assert_eq!((changes(inbox.take()).changes.len(), counters.unwritten.value()), (2, 3));
        journal.offer_all(&counters, &mut server, 1);
        assert_eq!(counters.unwritten.value(), 3);
    }
}
