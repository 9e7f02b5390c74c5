//! The load's findings about a faulty relay: a floor forwarder of this test, with one fault.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use causeway_bench::load::{
    Access, Direction, Fleet, Limits, Measured, Pace, Scenario, Target, Traffic, find_rate,
};

const TAG: &[u8] = b"FLR1";
/// How long a held datagram waits for a later one.
const HOLD: Duration = Duration::from_millis(20);
/// Every n-th datagram has the fault.
const EACH: usize = 10;

/// The fault of the relay, which some datagrams meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Loss,
    CorruptedByte,
    CutShort,
    SwappedFlow,
    WrongSource,
    Duplicate,
    /// The datagram is sent after the next one of its allocation and direction.
    Reordered,
    /// The relay reads nothing for half a second after the first datagram.
    Pause,
}

/// The floors' trivial protocol in one thread, with a fault.
struct Relay {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Allocation {
    client: SocketAddr,
    peer: SocketAddr,
    socket: UdpSocket,
}

impl Relay {
    fn start(fault: Fault) -> Self {
        let listener = socket();
        let address = listener.local_addr().expect("loopback does");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || serve(&listener, fault, &stopped));
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().expect("it ends once").join();
        assert!(ended.is_ok() || thread::panicking(), "the relay of the test failed");
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback does");
    socket.set_nonblocking(true).expect("loopback does");
    socket
}

/// The state of the relay's thread.
struct Serving<'l> {
    listener: &'l UdpSocket,
    fault: Fault,
    /// A socket with a wrong source address.
    stranger: UdpSocket,
    allocations: Vec<Allocation>,
    /// For each allocation, a datagram held back towards the peer and one towards the client.
    held: Vec<[Option<Vec<u8>>; 2]>,
    /// The number of the last datagram.
    number: usize,
}

fn serve(listener: &UdpSocket, fault: Fault, stop: &AtomicBool) {
    let mut serving = Serving {
        listener,
        fault,
        stranger: socket(),
        allocations: Vec::new(),
        held: Vec::new(),
        number: 0,
    };
    let mut active = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let came_relay_clients = serving.relay_clients();
        if serving.relay_peers() || came_relay_clients {
            active = Instant::now();
        } else if active.elapsed() < HOLD {
            thread::yield_now();
        } else {
            serving.release();
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Serving<'_> {
    /// Relays what clients sent; returns whether there was anything.
    fn relay_clients(&mut self) -> bool {
        let (mut any, mut buffer) = (false, [0; 2048]);
        while let Ok((length, client)) = self.listener.recv_from(&mut buffer) {
            any = true;
            let found = self.allocations.iter().position(|allocation| allocation.client == client);
            if let Some(request) = buffer[..length].strip_prefix(TAG) {
                let index = found.unwrap_or_else(|| self.allocate(client, request));
                let port = self.allocations[index]
                    .socket
                    .local_addr()
                    .expect("loopback does")
                    .port()
                    .to_be_bytes();
                self.listener
                    .send_to(&[TAG, &[127, 0, 0, 1], &port].concat(), client)
                    .expect("loopback does");
            } else if let Some(index) = found {
                self.number += 1;
                let own = &self.allocations[index];
                let other = &self.allocations[(index + 1) % self.allocations.len()];
                deliver(
                    self.fault,
                    self.number,
                    buffer[4..length].to_vec(),
                    [
                        (&own.socket, own.peer),
                        (&other.socket, other.peer),
                        (&self.stranger, own.peer),
                    ],
                    &mut self.held[index][0],
                );
            }
        }
        any
    }

    fn allocate(&mut self, client: SocketAddr, request: &[u8]) -> usize {
        let peer = SocketAddr::from((
            [request[0], request[1], request[2], request[3]],
            u16::from_be_bytes([request[4], request[5]]),
        ));
        self.allocations.push(Allocation { client, peer, socket: socket() });
        self.held.push([None, None]);
        self.allocations.len() - 1
    }

    /// Relays what peers sent; returns whether there was anything.
    fn relay_peers(&mut self) -> bool {
        let (mut any, mut buffer) = (false, [0; 2048]);
        for index in 0..self.allocations.len() {
            let own = &self.allocations[index];
            let other = self.allocations[(index + 1) % self.allocations.len()].client;
            while let Ok((length, from)) = own.socket.recv_from(&mut buffer) {
                any = true;
                self.number += 1;
                assert_eq!(from, own.peer);
                let data =
                    [&[0x40, 0][..], &(length as u16).to_be_bytes(), &buffer[..length]].concat();
                deliver(
                    self.fault,
                    self.number,
                    data,
                    [
                        (self.listener, own.client),
                        (self.listener, other),
                        (&self.stranger, own.client),
                    ],
                    &mut self.held[index][1],
                );
            }
        }
        any
    }

    /// Sends the datagrams that are held back.
    fn release(&mut self) {
        for (Allocation { client, peer, socket }, [up, down]) in
            self.allocations.iter().zip(&mut self.held)
        {
            up.take().map(|data| socket.send_to(&data, peer).expect("loopback does"));
            down.take().map(|data| self.listener.send_to(&data, client).expect("loopback does"));
        }
    }
}

/// Sends over the first of `ways`, the correct one; or, with the fault, otherwise: to another
/// client, or from a wrong source. A held datagram is sent after it.
fn deliver(
    fault: Fault,
    number: usize,
    mut data: Vec<u8>,
    ways: [(&UdpSocket, SocketAddr); 3],
    held: &mut Option<Vec<u8>>,
) {
    let met = number.is_multiple_of(EACH);
    let (mut way, mut times) = (0, 1);
    match fault {
        Fault::Loss if met => times = 0,
        Fault::CorruptedByte if met => {
            let last = data.len() - 1;
            data[last] ^= 1;
        }
        Fault::CutShort if met => data.truncate(data.len() - 1),
        Fault::SwappedFlow if met => way = 1,
        Fault::WrongSource if met => way = 2,
        Fault::Duplicate if met => times = 2,
        Fault::Reordered if met && held.is_none() => {
            *held = Some(data);
            return;
        }
        Fault::Pause if number == 1 => thread::sleep(Duration::from_millis(500)),
        _ => {}
    }
    for _ in 0..times {
        ways[way].0.send_to(&data, ways[way].1).expect("loopback does");
    }
    if let Some(earlier) = held.take() {
        ways[0].0.send_to(&earlier, ways[0].1).expect("loopback does");
    }
}

fn measure(fault: Fault, direction: Direction) -> Measured {
    play(
        fault,
        &Scenario { direction, allocations: 4, pace: Pace::Window(32), ..Scenario::default() },
    )
}

fn play(fault: Fault, scenario: &Scenario) -> Measured {
    let relay = Relay::start(fault);
    let mut fleet =
        Fleet::new(scenario, &Target::new(relay.address, Access::Floor)).expect("loopback does");
    fleet.run(Duration::from_millis(30)).expect("loopback does")
}

/// The share of faults that were counted, of those that the relay made.
fn share(part: u64, all: u64) -> f64 {
    part as f64 * EACH as f64 / all as f64
}

#[test]
fn a_relay_without_fault_loses_nothing() {
    for direction in [Direction::ToPeer, Direction::ToClient, Direction::Both, Direction::Echo] {
        let measured = measure(Fault::None, direction);
        assert!(measured.sent >= 32, "{direction:?}: {measured:?}");
        assert_eq!(measured.delivered, measured.sent, "{direction:?}");
        assert_eq!(
            (measured.corrupt, measured.misdelivered, measured.duplicates, measured.late),
            (0, 0, 0, 0),
            "{direction:?}"
        );
        assert_eq!(measured.bytes, 160 * measured.delivered, "{direction:?}");
        let found = measured.latencies;
        assert!(
            found.p50 > Duration::ZERO
                && found.p50 <= found.p90
                && found.p90 <= found.p99
                && found.p99 <= found.p999
                && found.p999 <= found.max
        );
        assert!(found.max <= measured.elapsed, "{measured:?}");
    }
}

#[test]
fn each_fault_is_counted_as_what_it_is() {
    for direction in [Direction::ToPeer, Direction::ToClient] {
        for fault in [
            Fault::Loss,
            Fault::CorruptedByte,
            Fault::CutShort,
            Fault::SwappedFlow,
            Fault::WrongSource,
            Fault::Duplicate,
        ] {
            let measured = measure(fault, direction);
            let Measured { sent, corrupt, misdelivered, duplicates, late, .. } = measured;
            assert_eq!(late, 0, "{fault:?} {direction:?}");
            let wrong = match fault {
                Fault::Loss => [measured.lost(), 0, 0, 0],
                Fault::CorruptedByte | Fault::CutShort => [measured.lost(), corrupt, 0, 0],
                Fault::SwappedFlow | Fault::WrongSource => [measured.lost(), 0, misdelivered, 0],
                Fault::Duplicate => [0, 0, 0, duplicates],
                Fault::None | Fault::Reordered | Fault::Pause => unreachable!("not in the list"),
            };
            assert_eq!(
                [measured.lost(), corrupt, misdelivered, duplicates],
                wrong,
                "{fault:?} {direction:?}"
            );
            assert!(
                wrong.iter().all(|count| *count == 0 || (0.9..=1.0).contains(&share(*count, sent))),
                "{fault:?} {direction:?}: {measured:?}"
            );
            assert!(wrong.iter().any(|count| *count > 0), "{fault:?} {direction:?}: {measured:?}");
        }
    }
}

/// Every kind of traffic; a relay may reorder each in its own way.
fn all_traffic(direction: Direction) -> [Scenario; 3] {
    let even =
        Scenario { direction, allocations: 4, pace: Pace::Window(32), ..Scenario::default() };
    let mixed = Scenario { traffic: Traffic::Mixed, size: 1_200, ..even };
    [even, mixed, Scenario { traffic: Traffic::Frames, ..even }]
}

#[test]
fn a_relay_that_reorders_is_caught_in_every_kind_of_traffic() {
    for direction in [Direction::ToPeer, Direction::ToClient, Direction::Both, Direction::Echo] {
        for scenario in all_traffic(direction) {
            let sound = play(Fault::None, &scenario);
            assert_eq!((sound.delivered, sound.late), (sound.sent, 0), "{scenario:?}");
            let measured = play(Fault::Reordered, &scenario);
            assert_eq!(
                (measured.corrupt, measured.misdelivered, measured.duplicates, measured.lost()),
                (0, 0, 0, 0),
                "{scenario:?}"
            );
            let most = if direction == Direction::Echo { 2.0 } else { 1.1 };
            assert!(
                measured.late > 0 && share(measured.late, measured.sent) <= most,
                "{scenario:?}: {measured:?}"
            );
        }
    }
}

#[test]
fn a_relay_that_stands_still_for_a_while_is_waited_for() {
    let measured = measure(Fault::Pause, Direction::ToPeer);
    assert!(measured.sent >= 32, "{measured:?}");
    assert_eq!((measured.delivered, measured.late), (measured.sent, 0), "{measured:?}");
}

#[test]
fn traffic_that_is_not_possible_is_an_error() {
    let relay = Relay::start(Fault::None);
    let target = Target::new(relay.address, Access::Floor);
    let frames = Scenario { traffic: Traffic::Frames, allocations: 4, ..Scenario::default() };
    for wrong in
        [Scenario { burst: 2, ..frames }, Scenario { traffic: Traffic::Mixed, size: 40, ..frames }]
    {
        assert!(Fleet::new(&wrong, &target).is_err(), "{wrong:?}");
    }
    let mut fleet = Fleet::new(&frames, &target).expect("it is possible");
    assert!(fleet.set_pace(Pace::Rate(1_000)).is_err(), "frames have a pace of their own");
}

#[test]
fn an_echo_that_is_swapped_on_either_way_is_misdelivered() {
    let measured = measure(Fault::SwappedFlow, Direction::Echo);
    assert!(measured.misdelivered > 0 && measured.lost() == measured.misdelivered, "{measured:?}");
    assert_eq!((measured.corrupt, measured.duplicates), (0, 0));
}

#[test]
fn the_highest_rate_of_a_relay_that_loses_a_tenth_is_none() {
    let relay = Relay::start(Fault::Loss);
    let scenario = Scenario { allocations: 4, ..Scenario::default() };
    let mut fleet =
        Fleet::new(&scenario, &Target::new(relay.address, Access::Floor)).expect("loopback does");
    let limits = Limits { trial: Duration::from_millis(50), highest: 2_000, ..Limits::default() };
    let found = find_rate(&mut fleet, &limits).expect("loopback does");
    assert_eq!((found.rate, found.by_load), (0, false));
}

#[test]
fn nobody_who_answers_is_an_error() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("loopback does");
    let target = Target::new(silent.local_addr().expect("loopback does"), Access::Floor);
    assert!(Fleet::new(&Scenario { allocations: 1, ..Scenario::default() }, &target).is_err());
    let nonsense = Scenario { allocations: 3, direction: Direction::Relay, ..Scenario::default() };
    assert!(Fleet::new(&nonsense, &target).is_err(), "a pair is missing");
}
