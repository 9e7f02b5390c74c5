//! A worker in its loop, with other workers that the test plays (H52).

use std::net::{SocketAddr, UdpSocket as StdSocket};

use causeway_daemon::service::listeners::Listeners;
use causeway_net::{
    Clock, DatagramListenerOptions, Descriptors, EventLoop, Mailbox, UdpOptions, UdpSocket,
};
use causeway_relay::{AllocationId, PeerAddress, RelayId};
use causeway_wire::{Class, MessageWriter, Method, TransactionId};

use super::lanes::Heading;
use super::*;
use crate::config::configured;
use crate::startup::shared;

const OTHERS: usize = 5;
const EACH: u32 = 1_000;
/// Datagrams of other workers that one turn takes: what is over a kibi of them is at most a lane.
const A_TURN: u64 = 2_047;

/// A worker whose client asks something while the mailbox is drained for the first time.
struct Asked {
    worker: Worker,
    client: StdSocket,
    server: SocketAddr,
    asked: bool,
    /// Datagrams of other workers that were taken before the client's.
    before: u64,
}

impl Service for Asked {
    type Message = Mail;

    fn datagram(&mut self, now: Sample, arrival: &Arrival, packet: &mut Packet<'_>, io: &mut Io) {
        self.before = self.worker.counters.across.value();
        self.worker.datagram(now, arrival, packet, io);
        io.stop();
    }

    fn message(&mut self, now: Sample, mail: Mail, io: &mut Io) {
        if !std::mem::replace(&mut self.asked, true) {
            let mut request = [0; 20];
            let writer = MessageWriter::new(
                &mut request,
                Class::Request,
                Method::BINDING,
                TransactionId([7; 12]),
            )
            .unwrap();
            let len = writer.finish();
            self.client.send_to(&request[..len], self.server).unwrap();
        }
        self.worker.message(now, mail, io);
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.worker.next_deadline()
    }

    fn timeout(&mut self, now: Sample, io: &mut Io) {
        self.worker.timeout(now, io);
    }

    fn after_batch(&mut self, now: Sample, io: &mut Io) {
        self.worker.after_batch(now, io);
    }
}

/// A worker of the configuration that `flags` make, and its loop.
pub(super) fn prepared(flags: &[&str]) -> (Worker, EventLoop) {
    with_listeners(flags, 0, Listeners::default(), None)
}

/// The same with an index, listeners and a way to other workers.
fn with_listeners(
    flags: &[&str],
    index: u16,
    listeners: Listeners,
    lanes: Option<Lanes>,
) -> (Worker, EventLoop) {
    let config = configured(flags).unwrap();
    let mut event_loop = EventLoop::new(Clock::start()).unwrap();
    let parts = Parts {
        index,
        listeners: listeners.register(event_loop.io()).unwrap(),
        lanes,
        journal: None,
        keys: None,
        accounts: Accounts::new(config.accounting.interim),
    };
    (Worker::new(&shared(&config, &Descriptors::unlimited()), parts), event_loop)
}

/// The last of six workers, its loop, and where it listens.
fn worker(lanes: Option<Lanes>) -> (Worker, EventLoop, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::LISTENER).unwrap();
    let address = socket.local_addr();
    let listeners = Listeners {
        udp: vec![(socket, DatagramListenerOptions::plain(Socket::Listener.tag()))],
        tcp: Vec::new(),
    };
    let flags = ["--set", "net.workers=6"];
    let (worker, event_loop) = with_listeners(&flags, OTHERS as u16, listeners, lanes);
    (worker, event_loop, address)
}

#[test]
fn h52_what_other_workers_send_does_not_keep_a_client_waiting() {
    let boxes: Vec<_> = (0..=OTHERS).map(|_| Mailbox::new(16).unwrap()).collect();
    let (senders, mut receivers): (Vec<_>, Vec<_>) =
        boxes.into_iter().map(|mailbox| (mailbox.sender, mailbox.receiver)).unzip();
    let mut ends: Vec<_> = Lanes::between(&senders).into_iter().flatten().collect();
    let (worker, mut event_loop, server) = worker(ends.pop());
    let to = RelayId {
        allocation: AllocationId { worker: OTHERS as u16, slot: 0, generation: 0 },
        index: 0,
    };
    for end in &mut ends {
        (0..EACH).for_each(|_| {
            let from = PeerAddress("192.0.2.1:50000".parse().unwrap());
            end.put(Heading { to, from, tos: 0 }, b"from another worker");
        });
        end.hand_over_all();
    }
    let counters = Arc::clone(&worker.counters);
    let client = StdSocket::bind("127.0.0.1:0").unwrap();
    let mut asked = Asked { worker, client, server, asked: false, before: 0 };
    event_loop.run(&mut asked, &receivers.pop().unwrap()).unwrap();
    assert!(
        asked.before <= A_TURN,
        "{} datagrams of other workers came before a client's",
        asked.before
    );
    // What is left comes in the next turns, without another message.
    while asked.worker.lanes.as_ref().is_some_and(Lanes::has_more) {
        assert_eq!(asked.worker.next_deadline(), Some(Duration::ZERO));
        asked.worker.after_batch(Clock::start().sample(), event_loop.io());
    }
    assert_eq!(counters.across.value(), OTHERS as u64 * u64::from(EACH));
}

#[test]
fn h52_connections_whose_time_is_up_together_are_closed_in_several_turns() {
    const COUNT: u64 = 200;
    let (mut worker, mut event_loop, server) = worker(None);
    for number in 0..COUNT {
        let client = FiveTuple {
            client: ([192, 0, 2, number as u8], 4000).into(),
            server,
            transport: Transport::Tcp,
        };
        let stream = Connection::Stream(causeway_net::StreamKey::from_bits(number));
        assert!(worker.connections.admit(Duration::ZERO, &client, stream).is_ok());
    }
    let now =
        Sample { monotonic: Duration::from_secs(60), unix: Duration::from_secs(1_800_000_000) };
    let mut turns = 0;
    while worker.next_deadline().is_some_and(|deadline| deadline <= now.monotonic) {
        worker.timeout(now, event_loop.io());
        turns += 1;
    }
    assert_eq!(turns, COUNT.div_ceil(ENDINGS as u64));
}
