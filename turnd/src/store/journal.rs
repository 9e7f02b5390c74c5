use causeway_relay::{AllocationRecord, Change, FiveTuple, Ledger, Now, Server, Transport};
use causeway_store::{self as store, RecordId};
use rand::CryptoRng;

use crate::accounts::outlives;
use crate::clients::proxied::Proxied;
use crate::counters::Counters;
use crate::inbox::Outbox;
use crate::records::to_store;
use crate::store::directory::{Changes, Letter};

/// What a worker has to tell the store. It rings once and then waits to be asked: the worker never
/// waits for anybody.
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
                    letter.changes.extend(
                        server
                            .export(now, id)
                            .map(|allocation| self.change(&allocation, proxied, now)),
                    );
                }
                Some(Change::Ended(record)) => {
                    letter.changes.push(store::Change::Delete(RecordId(record)));
                }
                Some(Change::Everything) => letter.lost_count = true,
                None => break,
            }
        }
        letter.offered = (server.offer_left() == 0).then_some(self.round);
        self.rung = false;
        // Before the letter leaves: who reads it goes by this number. Where it did not leave, it
        // waits itself.
        self.show(counters, server.unwritten());
        self.send(letter);
        if self.unsent.is_some() {
            self.show(counters, server.unwritten());
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

    /// The server stops: what goes on in another process is written as it stands now, and what does
    /// not is deleted.
    pub(crate) fn stop<L: Ledger, R: CryptoRng>(&mut self, server: &mut Server<L, R>) {
        self.stopping = true;
        server.note_all();
    }

    /// Offers all allocations to the comparison of this number: the letter with the last of them
    /// names it.
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

    /// The number that the control side goes by: more than none while there is anything to be asked
    /// for.
    fn show(&self, counters: &Counters, unwritten: usize) -> usize {
        let waiting =
            unwritten + self.unsent.as_ref().map_or(0, |letter| letter.changes.len().max(1));
        counters.unwritten.set(waiting as u64);
        waiting
    }

    fn send(&mut self, letter: Box<Changes>) {
        // The control side asks for one answer at a time, so its box has room; where it has not,
        // nothing may be missed.
        if let Err(Letter::Changes(back)) = self.out.send(Letter::Changes(letter)) {
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
        ChannelPermission, Command, Config, DeniedPeers, Families, Limits, PeerPolicy,
        RelayedRecord, RelayedTransportAddress, Traffic, Unlimited,
    };
    use causeway_wire::{ChannelRange, TransactionId};
    use rand::rngs::StdRng;

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
            limits: Limits::default(),
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

    /// So many allocations come and go.
    fn churn(server: &mut Server<Unlimited, StdRng>, times: u64) {
        let address = RelayedTransportAddress {
            bound: ([127, 0, 0, 1], 50_000).into(),
            advertised: ([127, 0, 0, 1], 50_000).into(),
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

    fn changes(letter: Option<Letter>) -> Changes {
        match letter {
            Some(Letter::Changes(changes)) => *changes,
            Some(Letter::Pending) => panic!("it was asked for already"),
            None => panic!("no letter"),
        }
    }

    #[test]
    fn h47_a_letter_that_finds_no_room_is_kept_and_counts() {
        let (out, mut inbox) = inbox(1);
        let (mut journal, mut server, counters) =
            (Journal::new(3, out.clone()), server(), Counters::default());
        churn(&mut server, 5000);
        assert!(out.send(Letter::Pending).is_ok());
        journal.give(&counters, &mut server, &Proxied::default(), (NOW, 10));
        assert!(counters.unwritten.value() > 0, "it is still to be asked for");
        // What changes until there is room comes with it.
        churn(&mut server, 2);
        journal.offer_all(&counters, &mut server, 7);
        journal.give(&counters, &mut server, &Proxied::default(), (NOW, 10));
        assert!(matches!(inbox.take(), Some(Letter::Pending)));
        journal.ring(&counters, server.unwritten());
        let letter = changes(inbox.take());
        assert!(letter.lost_count, "that changes were given up is not forgotten");
        assert_eq!((letter.worker, letter.changes.len(), letter.offered), (3, 2, Some(7)));
        assert_eq!(counters.unwritten.value(), 0);
    }

    #[test]
    fn h47_the_counter_says_what_is_left_before_the_letter_leaves() {
        let (out, mut inbox) = inbox(4);
        let (mut journal, mut server, counters) =
            (Journal::new(0, out), server(), Counters::default());
        churn(&mut server, 5);
        // Nothing has run since: what the control side reads beside a letter is right already.
        journal.give(&counters, &mut server, &Proxied::default(), (NOW, 2));
        assert_eq!((changes(inbox.take()).changes.len(), counters.unwritten.value()), (2, 3));
        journal.offer_all(&counters, &mut server, 1);
        assert_eq!(counters.unwritten.value(), 3);
    }
}
