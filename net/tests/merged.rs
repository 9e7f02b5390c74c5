//! Datagrams that the kernel delivers or takes several in one message (UDP_GRO, UDP_SEGMENT): each
//! stays a datagram of its own.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

mod support;

use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::os::fd::{AsFd, AsRawFd};

use causeway_net::{Arrival, DatagramListenerOptions, Io, Route, SocketKey, UdpOptions, UdpSocket};
use support::{Behavior, Event, Worker, listen_udp, plain_socket};

over_each_backend!(
    a_burst_comes_back_datagram_by_datagram_with_a_header_before_each,
    each_datagram_of_a_burst_is_told_with_its_addresses_and_class,
    datagrams_of_any_lengths_arrive_as_they_were_sent,
    more_datagrams_than_a_message_holds_leave_as_several,
    only_what_belongs_together_is_merged,
    what_the_kernel_does_not_cut_is_sent_datagram_by_datagram,
    a_burst_to_a_closed_port_is_not_taken_for_a_refusal_to_cut,
    a_burst_that_is_refused_costs_few_system_calls,
    bursts_of_many_clients_at_once_keep_their_order,
    a_listener_does_not_wait_for_all_bursts_of_a_peer,
);

fn set(socket: &impl AsFd, level: i32, name: i32, value: i32) {
    // SAFETY: the kernel reads the four bytes of `value` during the call.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const value).cast(), 4)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// A client whose sends are cut into datagrams of `len` bytes, which loopback carries as one
/// message.
fn bursting_client(server: SocketAddr, len: usize) -> StdSocket {
    let client = plain_socket(if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
    client.connect(server).unwrap();
    set(&client, libc::SOL_UDP, libc::UDP_SEGMENT, len as i32);
    client
}

/// Content that tells its number and length.
fn content(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number * 31 + at) as u8).collect()
}

/// Asserts that the next datagrams on `socket` are exactly these, in order.
fn expect(socket: &StdSocket, expected: impl IntoIterator<Item = Vec<u8>>) {
    let mut buffer = vec![0; 70_000];
    for (index, expected) in expected.into_iter().enumerate() {
        let count =
            socket.recv(&mut buffer).unwrap_or_else(|error| panic!("datagram {index}: {error}"));
        assert!(
            buffer[..count] == expected,
            "datagram {index}: {count} bytes instead of {}",
            expected.len()
        );
    }
}

fn echoed(content: &[u8]) -> Vec<u8> {
    [b"echo", content].concat()
}

/// The socket that a test sends from, and the destination.
fn route(socket: SocketKey, to: SocketAddr) -> Route {
    Route { socket, to, from: None, tos: 0, dont_fragment: false }
}

/// Sends a datagram of each length to `to`, in one batch.
fn reply_all(io: &mut Io, socket: SocketKey, to: SocketAddr, lens: &[usize]) {
    for (number, len) in lens.iter().enumerate() {
        io.reply_buffer()[..*len].copy_from_slice(&content(number, *len));
        io.reply(&route(socket, to), *len);
    }
}

fn a_burst_comes_back_datagram_by_datagram_with_a_header_before_each() {
    for (any, asked) in [
        ("127.0.0.1:0", "127.0.0.1"),
        ("[::1]:0", "::1"),
        ("0.0.0.0:0", "127.0.0.2"),
        ("[::]:0", "::1"),
    ] {
        let (worker, (_, server)) =
            Worker::start(Behavior::EchoesQuietly, |io| listen_udp(io, any));
        let client = bursting_client(SocketAddr::new(asked.parse().unwrap(), server.port()), 1_000);
        set(
            &client,
            if server.is_ipv4() { libc::IPPROTO_IP } else { libc::IPPROTO_IPV6 },
            tos_option(&server),
            0xb8,
        );
        for round in 0..20 {
            let parts: Vec<_> = (0..11)
                .map(|number| content(round + number, if number == 10 { 300 } else { 1_000 }))
                .collect();
            client.send(&parts.concat()).unwrap();
            expect(&client, parts.iter().map(|part| echoed(part)));
        }
        worker.settle();
        let stats = &worker.stats;
        assert_eq!(stats.datagrams_received.value(), 220);
        assert_eq!(stats.datagrams_received_bytes.value(), 20 * 10_300);
        assert_eq!(stats.datagrams_received_merged.value(), 220);
        assert_eq!(stats.datagrams_sent.value(), 220);
        assert_eq!(stats.datagrams_sent_bytes.value(), 20 * 10_344);
        assert_eq!(stats.datagrams_sent_merged.value(), 220);
        assert!(stats.send_calls.value() <= 20, "{} calls", stats.send_calls.value());
    }
}

fn tos_option(of: &SocketAddr) -> i32 {
    if of.is_ipv4() { libc::IP_TOS } else { libc::IPV6_TCLASS }
}

fn each_datagram_of_a_burst_is_told_with_its_addresses_and_class() {
    let (worker, (_, server)) = Worker::start(Behavior::Reports, |io| listen_udp(io, "0.0.0.0:0"));
    let client = bursting_client(SocketAddr::new("127.0.0.3".parse().unwrap(), server.port()), 10);
    set(&client, libc::IPPROTO_IP, libc::IP_TOS, 0x22);
    client.send(&content(0, 35)).unwrap();
    for expected in content(0, 35).chunks(10) {
        let Event::Datagram(Arrival { source, destination, tos, .. }, payload) = worker.event()
        else {
            panic!("a datagram")
        };
        assert_eq!(
            (source, destination),
            (client.local_addr().unwrap(), client.peer_addr().unwrap())
        );
        assert_eq!((tos, payload.as_slice()), (0x22, expected));
    }
    worker.assert_quiet();
}

fn datagrams_of_any_lengths_arrive_as_they_were_sent() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let (worker, (key, _)) = Worker::start(Behavior::Reports, |io| listen_udp(io, any));
        let sink = plain_socket(any);
        let to = sink.local_addr().unwrap();
        let lens =
            [500, 500, 300, 500, 700, 0, 0, 700, 700, 1, 1, 0, 1, 40_000, 40_000, 40_000, 2, 1];
        worker.with_io(move |io| reply_all(io, key, to, &lens));
        expect(&sink, lens.iter().enumerate().map(|(number, len)| content(number, *len)));
        worker.settle();
        assert_eq!(worker.stats.datagrams_sent.value(), lens.len() as u64);
        // 500, 500, 300; 700, 700, 1; 2, 1. A datagram that is empty, or too long together with
        // others, goes alone.
        assert_eq!(worker.stats.datagrams_sent_merged.value(), 8);
    }
}

fn more_datagrams_than_a_message_holds_leave_as_several() {
    let (worker, (key, _)) = Worker::start(Behavior::Reports, |io| listen_udp(io, "127.0.0.1:0"));
    let sink = plain_socket("127.0.0.1:0");
    let to = sink.local_addr().unwrap();
    worker.with_io(move |io| reply_all(io, key, to, &[200; 150]));
    expect(&sink, (0..150).map(|number| content(number, 200)));
    worker.settle();
    assert_eq!(worker.stats.datagrams_sent_merged.value(), 150, "64, 64 and 22");
    assert_eq!(worker.stats.dropped_send_refused.value(), 0);
}

fn only_what_belongs_together_is_merged() {
    let (worker, (key, _)) = Worker::start(Behavior::Reports, |io| listen_udp(io, "127.0.0.1:0"));
    let (one, other) = (plain_socket("127.0.0.1:0"), plain_socket("127.0.0.1:0"));
    let (to_one, to_other) = (one.local_addr().unwrap(), other.local_addr().unwrap());
    worker.with_io(move |io| {
        let routes = [
            route(key, to_one),
            route(key, to_one),
            route(key, to_other),
            Route { tos: 0x20, ..route(key, to_one) },
            Route { tos: 0x20, ..route(key, to_one) },
            Route { dont_fragment: true, ..route(key, to_one) },
            route(key, to_one),
        ];
        for (number, route) in routes.iter().enumerate() {
            io.reply_buffer()[..100].copy_from_slice(&content(number, 100));
            io.reply(route, 100);
        }
    });
    expect(&one, [0, 1, 3, 4, 5, 6].map(|number| content(number, 100)));
    expect(&other, [content(2, 100)]);
    worker.settle();
    assert_eq!(worker.stats.datagrams_sent_merged.value(), 4);
}

fn what_the_kernel_does_not_cut_is_sent_datagram_by_datagram() {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::LISTENER).unwrap();
    // Without checksums the kernel does not cut messages.
    set(&socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1);
    let (worker, key) = Worker::start(Behavior::Reports, |io| {
        io.listen_udp(socket, DatagramListenerOptions::plain(0)).unwrap()
    });
    let sink = plain_socket("127.0.0.1:0");
    let to = sink.local_addr().unwrap();
    let lens = [600, 600, 600, 50, 20, 20];
    for _ in 0..3 {
        worker.with_io(move |io| reply_all(io, key, to, &lens));
        expect(&sink, lens.iter().enumerate().map(|(number, len)| content(number, *len)));
    }
    worker.settle();
    let stats = &worker.stats;
    assert_eq!(stats.datagrams_sent.value(), 18);
    assert_eq!((stats.datagrams_sent_merged.value(), stats.dropped_send_refused.value()), (0, 0));
    // The first batch: two messages are tried twice, six datagrams sent. The later ones take
    // one call each.
    assert_eq!(stats.send_calls.value(), 4 + 6 + 2);
}

fn a_burst_to_a_closed_port_is_not_taken_for_a_refusal_to_cut() {
    let gone = plain_socket("127.0.0.1:0").local_addr().unwrap();
    let sink = plain_socket("127.0.0.1:0");
    let to = sink.local_addr().unwrap();
    let (worker, key) = Worker::start(Behavior::Reports, |io| {
        io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, 9).unwrap()
    });
    for _ in 0..10 {
        worker.with_io(move |io| {
            reply_all(io, key, gone, &[100; 5]);
            // The error of the burst before is pending when this is sent (row H38).
            reply_all(io, key, to, &[100; 5]);
        });
        expect(&sink, (0..5).map(|number| content(number, 100)));
    }
    worker.settle();
    assert_eq!(worker.stats.datagrams_sent.value(), 100);
    assert_eq!(worker.stats.datagrams_sent_merged.value(), 100);
    assert_eq!(worker.stats.dropped_send_refused.value(), 0);
}

fn a_burst_that_is_refused_costs_few_system_calls() {
    const EACH: u64 = 20;
    let (worker, key) = Worker::start(Behavior::Reports, |io| {
        io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, 9).unwrap()
    });
    let mut burst = 0;
    // From a loopback address there is no way out, and the broadcast address is prohibited.
    for target in ["192.0.2.1:9", "255.255.255.255:9"] {
        let to = target.parse().unwrap();
        for _ in 0..5 {
            burst += 1;
            worker.with_io(move |io| reply_all(io, key, to, &[100; EACH as usize]));
            worker.settle();
            let stats = &worker.stats;
            assert_eq!(stats.dropped_send_refused.value(), burst * EACH, "each is counted");
            assert!(
                stats.send_calls.value() <= 4 * burst,
                "{} calls for {burst} bursts of {EACH}",
                stats.send_calls.value()
            );
        }
    }
    assert_eq!(worker.stats.datagrams_sent.value(), 0);
}

fn bursts_of_many_clients_at_once_keep_their_order() {
    const CLIENTS: usize = 20;
    let (_worker, (_, server)) =
        Worker::start(Behavior::EchoesQuietly, |io| listen_udp(io, "127.0.0.1:0"));
    let clients: Vec<_> = (0..CLIENTS).map(|_| bursting_client(server, 400)).collect();
    let burst = |number: usize| (0..50).map(move |part| content(number * 50 + part, 400));
    for (number, client) in clients.iter().enumerate() {
        client.send(&burst(number).collect::<Vec<_>>().concat()).unwrap();
    }
    for (number, client) in clients.iter().enumerate() {
        expect(client, burst(number).map(|part| echoed(&part)));
    }
}

fn a_listener_does_not_wait_for_all_bursts_of_a_peer() {
    const BURSTS: usize = 25;
    const EACH: usize = 60;
    let (worker, (listener, server, relayed)) = Worker::start(Behavior::Reports, |io| {
        let (listener, server) = listen_udp(io, "127.0.0.1:0");
        let relayed =
            io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, 42).unwrap();
        (listener, server, io.local_addr(relayed).unwrap())
    });
    let (peer, client) = (bursting_client(relayed, 8), plain_socket("127.0.0.1:0"));
    // While the worker is busy with this message, all of them come into the kernel.
    worker.with_io(move |_| {
        for _ in 0..BURSTS {
            peer.send(&[1; 8 * EACH]).unwrap();
        }
        client.send_to(b"a client", server).unwrap();
    });
    let before = (0..=BURSTS * EACH).position(
        |_| matches!(worker.event(), Event::Datagram(arrival, _) if arrival.socket == listener),
    );
    assert!(before.is_some_and(|before| before < 10 * EACH), "it waited for {before:?} datagrams");
}
