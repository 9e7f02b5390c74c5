//! What the load says of a relay that does wrong: a floor forwarder of this test, with one fault.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use causeway_bench::load::{Access, Direction, Fleet, Limits, Measured, Pace, Scenario, Target, find_rate};

const TAG: &[u8] = b"FLR1";
/// Each n-th datagram meets the fault.
const EACH: usize = 10;

/// What the relay does wrong with some datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Loss,
    CorruptedByte,
    CutShort,
    SwappedFlow,
    WrongSource,
    Duplicate,
}

/// The floors' trivial protocol, one thread, with a fault.
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

fn serve(listener: &UdpSocket, fault: Fault, stop: &AtomicBool) {
    let (mut allocations, mut number, mut buffer) = (Vec::<Allocation>::new(), 0, [0; 2048]);
    let stranger = socket();
    while !stop.load(Ordering::Relaxed) {
        let mut idle = true;
        while let Ok((length, client)) = listener.recv_from(&mut buffer) {
            idle = false;
            let found = allocations.iter().position(|allocation| allocation.client == client);
            if let Some(request) = buffer[..length].strip_prefix(TAG) {
                let index = found.unwrap_or_else(|| {
                    let peer =
                        SocketAddr::from(([request[0], request[1], request[2], request[3]], u16::from_be_bytes([request[4], request[5]])));
                    allocations.push(Allocation { client, peer, socket: socket() });
                    allocations.len() - 1
                });
                let port = allocations[index].socket.local_addr().expect("loopback does").port().to_be_bytes();
                listener.send_to(&[TAG, &[127, 0, 0, 1], &port].concat(), client).expect("loopback does");
            } else if let Some(index) = found {
                number += 1;
                let own = &allocations[index];
                let other = &allocations[(index + 1) % allocations.len()];
                deliver(
                    fault,
                    number,
                    buffer[4..length].to_vec(),
                    [(&own.socket, own.peer), (&other.socket, other.peer), (&stranger, own.peer)],
                );
            }
        }
        for index in 0..allocations.len() {
            while let Ok((length, from)) = allocations[index].socket.recv_from(&mut buffer) {
                idle = false;
                number += 1;
                assert_eq!(from, allocations[index].peer);
                let other = allocations[(index + 1) % allocations.len()].client;
                let data = [&[0x40, 0][..], &(length as u16).to_be_bytes(), &buffer[..length]].concat();
                deliver(
                    fault,
                    number,
                    data,
                    [(listener, allocations[index].client), (listener, other), (&stranger, allocations[index].client)],
                );
            }
        }
        if idle {
            thread::yield_now();
        }
    }
}

/// Sends by the first of `ways`, the right one; or, with the fault, otherwise: to another's place, or from a wrong source.
fn deliver(fault: Fault, number: usize, mut data: Vec<u8>, ways: [(&UdpSocket, SocketAddr); 3]) {
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
        _ => {}
    }
    for _ in 0..times {
        ways[way].0.send_to(&data, ways[way].1).expect("loopback does");
    }
}

fn measure(fault: Fault, direction: Direction) -> Measured {
    let relay = Relay::start(fault);
    let scenario = Scenario { direction, allocations: 4, pace: Pace::Window(32), ..Scenario::default() };
    let mut fleet = Fleet::new(&scenario, &Target::new(relay.address, Access::Floor)).expect("loopback does");
    fleet.run(Duration::from_millis(30)).expect("loopback does")
}

/// The faults that were counted, of those that the relay made.
fn share(part: u64, all: u64) -> f64 {
    part as f64 * EACH as f64 / all as f64
}

#[test]
fn a_relay_without_fault_loses_nothing() {
    for direction in [Direction::ToPeer, Direction::ToClient, Direction::Both, Direction::Echo] {
        let measured = measure(Fault::None, direction);
        assert!(measured.sent >= 32, "{direction:?}: {measured:?}");
        assert_eq!(measured.delivered, measured.sent, "{direction:?}");
        assert_eq!((measured.corrupt, measured.misdelivered, measured.duplicates), (0, 0, 0), "{direction:?}");
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
        for fault in [Fault::Loss, Fault::CorruptedByte, Fault::CutShort, Fault::SwappedFlow, Fault::WrongSource, Fault::Duplicate] {
            let measured = measure(fault, direction);
            let Measured { sent, corrupt, misdelivered, duplicates, .. } = measured;
            let wrong = match fault {
                Fault::Loss => [measured.lost(), 0, 0, 0],
                Fault::CorruptedByte | Fault::CutShort => [measured.lost(), corrupt, 0, 0],
                Fault::SwappedFlow | Fault::WrongSource => [measured.lost(), 0, misdelivered, 0],
                Fault::Duplicate => [0, 0, 0, duplicates],
                Fault::None => unreachable!("not in the list"),
            };
            assert_eq!([measured.lost(), corrupt, misdelivered, duplicates], wrong, "{fault:?} {direction:?}");
            assert!(
                wrong.iter().all(|count| *count == 0 || (0.9..=1.0).contains(&share(*count, sent))),
                "{fault:?} {direction:?}: {measured:?}"
            );
            assert!(wrong.iter().any(|count| *count > 0), "{fault:?} {direction:?}: {measured:?}");
        }
    }
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
    let mut fleet = Fleet::new(&scenario, &Target::new(relay.address, Access::Floor)).expect("loopback does");
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
