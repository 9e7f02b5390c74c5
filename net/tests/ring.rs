//! A ring gives back the sockets, ports and buffers that it holds, and loses nothing that it has no
//! room for.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

mod support;

use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::thread;
use std::time::Duration;

use causeway_net::{Backend, Io, Route, SocketKey, UdpOptions};
use support::{Behavior, Event, Worker, plain_socket};

over_each_backend!(
    a_port_just_released_can_be_bound_again_at_once,
    a_released_socket_brings_nothing_more_and_what_it_was_to_send_leaves,
    a_socket_that_another_s_datagram_released_brings_nothing_of_the_same_turn,
    a_flood_of_few_sockets_loses_nothing_that_their_queues_hold,
    clients_and_peers_are_served_alike_when_thousands_of_sockets_are_ready,
    a_loop_that_ends_frees_its_ports,
    the_sockets_of_one_turn_are_many_more_than_a_submission_holds,
);

fn relayed(io: &mut Io, tag: u64) -> (SocketKey, SocketAddr) {
    relayed_at(io, "127.0.0.1:0", tag)
}

/// An address that no other test binds: a port that is free again stays so.
fn own_address() -> &'static str {
    if support::backend() == Backend::Epoll { "127.0.0.78:0" } else { "127.0.0.79:0" }
}

fn relayed_at(io: &mut Io, address: &str, tag: u64) -> (SocketKey, SocketAddr) {
    let key = io.bind_udp(address.parse().unwrap(), &UdpOptions::RELAYED, tag).unwrap();
    (key, io.local_addr(key).unwrap())
}

fn route(socket: SocketKey, to: SocketAddr) -> Route {
    Route { socket, to, from: None, tos: 0, dont_fragment: false }
}

#[test]
fn this_machine_has_a_ring() {
    if let Err(refusal) = Backend::IoUring.available() {
        panic!("the tests over io_uring cannot run: {refusal}");
    }
}

fn a_port_just_released_can_be_bound_again_at_once() {
    let (worker, (key, address)) =
        Worker::start(Behavior::Reports, |io| relayed_at(io, own_address(), 1));
    let peer = plain_socket("127.0.0.1:0");
    let mut key = key;
    for round in 2..200u64 {
        peer.send_to(&round.to_be_bytes(), address).unwrap();
        let Event::Datagram(arrival, content) = worker.event() else { panic!("a datagram") };
        assert_eq!(
            (arrival.socket, arrival.tag, content),
            (key, round - 1, round.to_be_bytes().to_vec())
        );
        let old = key;
        key = worker.with_io(move |io| {
            io.release_udp(old);
            io.bind_udp(address, &UdpOptions::RELAYED, round).unwrap()
        });
        assert_ne!(key, old);
    }
}

fn a_released_socket_brings_nothing_more_and_what_it_was_to_send_leaves() {
    let (worker, (key, address)) = Worker::start(Behavior::Reports, |io| relayed(io, 1));
    let peer = plain_socket("127.0.0.1:0");
    let to = peer.local_addr().unwrap();
    worker.with_io(move |io| {
        // Datagrams that are on their way when the socket is released are dropped: they must not
        // appear under the key of a later socket.
        let sender = StdSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..20 {
            sender.send_to(b"late", address).unwrap();
        }
        io.reply_buffer()[..4].copy_from_slice(b"last");
        io.reply(&route(key, to), 4);
        io.release_udp(key);
        io.reply_buffer()[..4].copy_from_slice(b"gone");
        io.reply(&route(key, to), 4);
    });
    let mut buffer = [0; 8];
    assert_eq!(peer.recv(&mut buffer).unwrap(), 4);
    assert_eq!(buffer[..4], *b"last");
    worker.assert_quiet();
    assert_eq!(worker.stats.dropped_socket_gone.value(), 1);
    assert_eq!(worker.stats.sockets_open.value(), 0);
}

fn a_socket_that_another_s_datagram_released_brings_nothing_of_the_same_turn() {
    let (worker, [one, other]) =
        Worker::start(Behavior::ReleasesNamedSocket, |io| [1, 2].map(|tag| relayed(io, tag)));
    worker.with_io(move |_| {
        let peer = StdSocket::bind("127.0.0.1:0").unwrap();
        for ((_, to), (released, _)) in [(one, other), (other, one)] {
            peer.send_to(&released.to_bits().to_be_bytes(), to).unwrap();
        }
    });
    let Event::Datagram(first, content) = worker.event() else { panic!("a datagram") };
    let (stays, goes) = if first.socket == one.0 { (one.0, other.0) } else { (other.0, one.0) };
    assert_eq!((first.socket, content), (stays, goes.to_bits().to_be_bytes().to_vec()));
    worker.assert_quiet();
    assert_eq!(worker.stats.sockets_open.value(), 1);
}

fn a_flood_of_few_sockets_loses_nothing_that_their_queues_hold() {
    let (worker, made) = Worker::start(Behavior::Reports, |io| {
        (0..4).map(|tag| relayed(io, tag)).collect::<Vec<_>>()
    });
    let peer = plain_socket("127.0.0.1:0");
    let each = 120u32;
    for round in 0..10u32 {
        // The loop does not run meanwhile: more datagrams wait than a ring has buffers.
        let addresses: Vec<_> = made.iter().map(|(_, address)| *address).collect();
        let sender = peer.try_clone().unwrap();
        worker.with_io(move |_| {
            for number in 0..each {
                for address in &addresses {
                    sender.send_to(&(round * each + number).to_be_bytes(), address).unwrap();
                }
            }
        });
        let mut next = [round * each; 4];
        for _ in 0..4 * each {
            let Event::Datagram(arrival, content) = worker.event() else { panic!("a datagram") };
            let next = &mut next[arrival.tag as usize];
            assert_eq!(content, next.to_be_bytes(), "in order");
            *next += 1;
        }
    }
    worker.assert_quiet();
    let restarted = worker.stats.receives_restarted.value();
    assert_eq!(
        restarted > 0,
        support::backend() == Backend::IoUring,
        "{restarted}: the buffers ran out, and the receives began again"
    );
}

fn clients_and_peers_are_served_alike_when_thousands_of_sockets_are_ready() {
    let (worker, (server, made)) = Worker::start(Behavior::Reports, |io| {
        let (_, server) = support::listen_udp(io, "127.0.0.1:0");
        (server, (0..1_500).map(|tag| relayed(io, 100 + tag).1).collect::<Vec<_>>())
    });
    let sender = plain_socket("127.0.0.1:0");
    worker.with_io(move |_| {
        for _ in 0..2 {
            for address in &made {
                sender.send_to(b"peer", address).unwrap();
            }
        }
        for _ in 0..50 {
            sender.send_to(b"client", server).unwrap();
        }
    });
    let mut peers_before = 0;
    let mut peers = 0;
    for _ in 0..3_000 + 50 {
        let Event::Datagram(_, content) = worker.event() else { panic!("a datagram") };
        if content == b"peer" {
            peers += 1;
        } else {
            peers_before = peers;
        }
    }
    assert_eq!(peers, 3_000);
    assert!(
        peers_before < 1_700,
        "{peers_before} datagrams of peers, more than one of each, before the last of a client"
    );
}

fn a_loop_that_ends_frees_its_ports() {
    for _ in 0..5 {
        let (worker, made) = Worker::start(Behavior::Reports, |io| {
            (0..50).map(|tag| relayed_at(io, own_address(), tag).1).collect::<Vec<_>>()
        });
        plain_socket("127.0.0.1:0").send_to(b"unseen", made[0]).unwrap();
        drop(worker); // waits for its thread
        for address in made {
            StdSocket::bind(address).expect("the port is free");
        }
    }
}

fn the_sockets_of_one_turn_are_many_more_than_a_submission_holds() {
    let (worker, made) = Worker::start(Behavior::EchoesQuietly, |io| {
        (0..2_000).map(|tag| relayed(io, tag)).collect::<Vec<_>>()
    });
    let peer = plain_socket("127.0.0.1:0");
    let (first, last) = (made[0].1, made[1_999].1);
    let echo = |address: SocketAddr| {
        peer.send_to(b"there", address).unwrap();
        let mut buffer = [0; 16];
        let (count, source) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..count], source), (&b"echothere"[..], address));
    };
    echo(first);
    echo(last);
    worker.with_io(move |io| made[1..1_999].iter().for_each(|(key, _)| io.release_udp(*key)));
    echo(first);
    echo(last);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(worker.stats.sockets_open.value(), 2);
}
