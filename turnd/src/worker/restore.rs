//! Restores allocations of the previous process: at once, or when another program has closed its
//! socket on their port.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_net::{Io, Sample, UdpSocket};
use causeway_relay::{AllocationRecord, BoundAddress};

use super::{Worker, at};
use crate::records::{Left, Restoring};

/// How long to wait before a port that another program holds is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long to keep trying. A client gives up its path after 30 seconds without an answer (RFC 7675
/// §5.1), and many do sooner.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum number of waiting allocations of one worker.
const WAITING: usize = 1024;
/// Maximum number of them that one turn tries.
const LOOKS: usize = 16;

/// Allocations whose ports other programs hold.
#[derive(Default)]
pub(crate) struct Waiting(VecDeque<Place>);

struct Place {
    /// When to try next.
    next: Duration,
    /// When to give up.
    end: Duration,
    left: Box<Left>,
}

impl Waiting {
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.0.front().map(|place| place.next)
    }
}

impl Worker {
    /// Restores a stored allocation, now or later.
    pub(crate) fn restore(&mut self, now: Sample, left: Box<Left>, io: &mut Io) -> Restoring {
        if self.bring_back(now, &left.allocation, left.record.proxy, io) {
            return Restoring::Restored(left.record.id);
        }
        if self.waiting.0.len() >= WAITING || !self.is_held_elsewhere(&left.allocation) {
            return Restoring::Lost(left);
        }
        let (next, end) = (now.monotonic + AGAIN, now.monotonic + PATIENCE);
        self.waiting.0.push_back(Place { next, end, left });
        Restoring::Waits
    }

    /// Restores a stored allocation after the start, when this worker counts the result.
    pub(super) fn restore_late(&mut self, now: Sample, left: Box<Left>, io: &mut Io) {
        match self.restore(now, left, io) {
            Restoring::Restored(_) => self.counters.restored_late.add(1),
            Restoring::Waits => {}
            Restoring::Lost(left) => self.lose(now, &left),
        }
    }

    /// Tries the waiting allocations that are due.
    pub(super) fn restore_waiting(&mut self, now: Sample, io: &mut Io) {
        for _ in 0..LOOKS {
            let Some(mut place) = self.waiting.0.pop_front_if(|place| place.next <= now.monotonic)
            else {
                return;
            };
            if now.monotonic < place.end && self.is_held_elsewhere(&place.left.allocation) {
                place.next = now.monotonic + AGAIN;
                self.waiting.0.push_back(place);
            } else if self.bring_back(now, &place.left.allocation, place.left.record.proxy, io) {
                self.counters.restored_late.add(1);
            } else {
                self.lose(now, &place.left);
            }
        }
    }

    fn lose(&mut self, now: Sample, left: &Left) {
        self.counters.not_restored_late.add(1);
        self.account_left(now, &left.record);
    }

    /// Whether a relayed address of the allocation is free but for another program.
    fn is_held_elsewhere(&self, record: &AllocationRecord) -> bool {
        let is_held = |bound: BoundAddress| {
            let Some(pool) =
                self.pools.of_address(bound.ip()).filter(|pool| pool.take(bound.port()))
            else {
                return false;
            };
            let held = UdpSocket::bind(bound.0, &self.relayed_options)
                .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
            pool.give_back(bound.port());
            held
        };
        self.server.allocation(&record.five_tuple).is_none()
            && record.relayed.iter().any(|relayed| is_held(relayed.address.bound))
    }

    /// Restores an allocation whose client is reached through `proxy`, if there is one. `false`
    /// when its port, its 5-tuple or its quota is taken.
    fn bring_back(
        &mut self,
        now: Sample,
        record: &AllocationRecord,
        proxy: Option<SocketAddr>,
        io: &mut Io,
    ) -> bool {
        if self.server.adopt(at(now), record).is_none() {
            self.quota.take_refusal(); // no client has asked for this one
            return false;
        }
        self.carry_out(now, io);
        let Some(id) = self.server.allocation(&record.five_tuple) else { return false };
        let relayed = self.server.relayed(id);
        let Some(first) = relayed.first() else { return false };
        self.accounts.watch(now.monotonic, id, record.age);
        if let Some(proxy) = proxy {
            self.heard_through(now, &record.five_tuple, proxy);
        }
        self.counters.allocated(record.five_tuple.transport, first.is_ipv4());
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdSocket;
    use std::sync::Arc;

    use causeway_auth::{Credential, Protection};
    use causeway_net::{EventLoop, Service as _};
    use causeway_relay::{
        AdvertisedAddress, FiveTuple, RelayedRecord, RelayedTransportAddress, Traffic, Transport,
    };
    use causeway_wire::TransactionId;

    use super::*;
    use crate::records::to_store;
    use crate::worker::tests::prepared;

    const START: Sample =
        Sample { monotonic: Duration::from_secs(1), unix: Duration::from_secs(1_800_000_000) };

    fn after(passed: Duration) -> Sample {
        Sample { monotonic: START.monotonic + passed, unix: START.unix + passed }
    }

    fn worker(address: &str) -> (Worker, EventLoop) {
        let flags = [
            "--relay-address",
            address,
            "--set",
            "relay.scope=private",
            "--relay-ports",
            "21000-21199",
        ];
        prepared(&flags)
    }

    fn left(bound: BoundAddress) -> Box<Left> {
        let address = RelayedTransportAddress { bound, advertised: AdvertisedAddress(bound.0) };
        let allocation = AllocationRecord {
            id: 7,
            five_tuple: FiveTuple {
                client: ([192, 0, 2, 9], 5000).into(),
                server: ([127, 0, 0, 1], 3478).into(),
                transport: Transport::Udp,
            },
            credential: Arc::new(
                Credential::with_password("alice", "example.org", "secret").unwrap(),
            ),
            protection: Protection::Unnamed,
            transaction: TransactionId([9; 12]),
            age: Duration::from_secs(50),
            lifetime: Duration::from_secs(600),
            relayed: vec![RelayedRecord { address, time_to_expiry: Duration::from_secs(500) }],
            permissions: Vec::new(),
            channels: Vec::new(),
            traffic: Traffic::default(),
        };
        Box::new(Left { record: to_store(&allocation, None, START.unix), allocation })
    }

    #[test]
    fn a_stored_allocation_whose_port_another_program_holds_is_restored_when_that_closes_it() {
        let bound = BoundAddress("127.71.1.1:21007".parse().unwrap());
        let other = StdSocket::bind(bound.0).unwrap();
        let (mut worker, mut event_loop) = worker("127.71.1.1");
        assert!(matches!(worker.restore(START, left(bound), event_loop.io()), Restoring::Waits));
        assert_eq!(
            (worker.waiting.next_deadline(), worker.server.gauges().allocations),
            (Some(START.monotonic + AGAIN), 0)
        );
        assert!(worker.next_deadline().is_some_and(|deadline| deadline <= START.monotonic + AGAIN));
        worker.timeout(after(AGAIN), event_loop.io());
        assert_eq!(worker.server.gauges().allocations, 0, "it is still held");
        drop(other);
        worker.timeout(after(2 * AGAIN), event_loop.io());
        assert_eq!(
            (worker.server.gauges().allocations, worker.counters.restored_late.value()),
            (1, 1)
        );
        assert_eq!(StdSocket::bind(bound.0).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(worker.waiting.next_deadline(), None);
    }

    #[test]
    fn a_port_that_stays_held_is_given_up_and_one_that_is_taken_here_is_not_waited_for() {
        let bound = BoundAddress("127.71.1.2:21007".parse().unwrap());
        let _other = StdSocket::bind(bound.0).unwrap();
        let (mut worker, mut event_loop) = worker("127.71.1.2");
        assert!(matches!(worker.restore(START, left(bound), event_loop.io()), Restoring::Waits));
        worker.timeout(after(PATIENCE), event_loop.io());
        assert_eq!(
            (worker.counters.not_restored_late.value(), worker.waiting.next_deadline()),
            (1, None)
        );
        assert_eq!(worker.pools.counts(true).free, 200, "no port is lost");
        assert!(
            worker.pools.of_address(bound.ip()).unwrap().take(bound.port()),
            "a new allocation has it"
        );
        assert!(matches!(worker.restore(START, left(bound), event_loop.io()), Restoring::Lost(_)));
    }
}
