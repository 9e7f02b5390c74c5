//! Row H38: a peer that cannot be reached harms no other.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

mod support;

use causeway_net::{Route, UdpOptions};
use support::{Behavior, Event, Worker, plain_socket};

over_each_backend!(
    h38_an_unreachable_peer_is_reported_and_harms_no_other_over_ipv4,
    h38_an_unreachable_peer_is_reported_and_harms_no_other_over_ipv6,
    h38_a_peer_that_the_kernel_cannot_route_to_harms_no_other,
);

/// Destination unreachable, port unreachable: ICMP 3/3, ICMPv6 1/4.
fn check(local: &'static str, kind: u8, code: u8) {
    let (worker, key) = Worker::start(Behavior::Reports, |io| {
        io.bind_udp(local.parse().unwrap(), &UdpOptions::RELAYED, 42).unwrap()
    });
    let dead = plain_socket(local).local_addr().unwrap(); // bound and closed again
    let alive = plain_socket(local);
    let to = alive.local_addr().unwrap();
    for round in 0..20u8 {
        worker.with_io(move |io| {
            // Alternating, so that each pending error could hit a send to a reachable peer.
            for number in 0..10u8 {
                let target = if number % 2 == 0 { dead } else { to };
                io.reply_buffer()[..2].copy_from_slice(&[round, number]);
                io.reply(
                    &Route { socket: key, to: target, from: None, tos: 0, dont_fragment: false },
                    2,
                );
            }
        });
        for number in [1, 3, 5, 7, 9] {
            let mut buffer = [0; 8];
            assert_eq!(alive.recv(&mut buffer).unwrap(), 2);
            assert_eq!(buffer[..2], [round, number], "each datagram to the living peer arrives");
        }
        let source = worker.with_io(move |io| io.local_addr(key).unwrap());
        alive.send_to(b"back", source).unwrap();
        let mut reported = 0;
        loop {
            match worker.event() {
                Event::Icmp(socket, tag, error) => {
                    assert_eq!((socket, tag), (key, 42));
                    assert_eq!((error.peer, error.kind, error.code), (dead, kind, code));
                    reported += 1;
                }
                Event::Datagram(arrival, content) => {
                    assert_eq!((arrival.source, content), (to, b"back".to_vec()));
                    break;
                }
                event => panic!("unexpected {event:?}"),
            }
        }
        assert!(reported > 0 || round > 0, "the kernel limits ICMP's rate, but not the first");
    }
    worker.settle();
    assert_eq!(worker.stats.dropped_send_refused.value(), 0);
}

fn h38_an_unreachable_peer_is_reported_and_harms_no_other_over_ipv4() {
    check("127.0.0.1:0", 3, 3);
}

fn h38_an_unreachable_peer_is_reported_and_harms_no_other_over_ipv6() {
    check("[::1]:0", 1, 4);
}

fn h38_a_peer_that_the_kernel_cannot_route_to_harms_no_other() {
    let (worker, key) = Worker::start(Behavior::Reports, |io| {
        io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, 0).unwrap()
    });
    let alive = plain_socket("127.0.0.1:0");
    let to = alive.local_addr().unwrap();
    worker.with_io(move |io| {
        // From a loopback address there is no way out, and the broadcast address is prohibited.
        for target in ["255.255.255.255:9".parse().unwrap(), to, "192.0.2.1:9".parse().unwrap(), to]
        {
            io.reply_buffer()[0] = 1;
            io.reply(
                &Route { socket: key, to: target, from: None, tos: 0, dont_fragment: false },
                1,
            );
        }
    });
    for _ in 0..2 {
        assert_eq!(alive.recv(&mut [0; 8]).unwrap(), 1);
    }
    worker.settle();
    assert_eq!(worker.stats.datagrams_sent.value() + worker.stats.dropped_send_refused.value(), 4);
    assert!(worker.stats.dropped_send_refused.value() >= 1);
}
