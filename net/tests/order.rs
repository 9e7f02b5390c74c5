//! Row H51: the order of one flow is kept by every backend, through errors too.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

mod support;

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket as StdSocket};

use causeway_net::{Backend, DatagramListenerOptions, Io, Route, SocketKey, UdpOptions, steering};
use support::{Behavior, Worker, plain_socket};

over_each_backend!(
    h51_mixed_lengths_of_one_socket_arrive_as_they_were_sent,
    h51_a_message_that_is_repeated_is_not_overtaken,
    h51_a_burst_that_is_sent_apart_is_not_overtaken,
    h51_a_flow_that_asks_for_df_keeps_its_order_and_leaves_the_others_alone,
    h51_a_listener_s_large_and_small_datagrams_leave_in_order_and_by_two_calls,
    h51_many_sockets_with_dead_peers_and_refused_datagrams_keep_the_order_of_every_flow,
);

/// One datagram of a batch: the relayed socket that sends it, its peer, and its length.
#[derive(Debug, Clone, Copy)]
struct Planned {
    socket: SocketKey,
    to: SocketAddr,
    len: usize,
    dont_fragment: bool,
}

fn relayed(io: &mut Io, count: usize) -> Vec<SocketKey> {
    (0..count)
        .map(|tag| {
            io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, tag as u64).unwrap()
        })
        .collect()
}

/// A listener that has a second socket for small datagrams.
fn steered_listener(io: &mut Io) -> SocketKey {
    let group =
        steering::bind_udp_group("127.0.0.1:0".parse().unwrap(), &UdpOptions::LISTENER, 1).unwrap();
    assert!(group.unsteered.is_none());
    io.listen_udp(group.sockets.into_iter().next().unwrap(), DatagramListenerOptions::plain(1))
        .unwrap()
}

/// Sends a batch in one turn. Each datagram begins with its number in the batch, big-endian.
fn send(worker: &Worker, batch: Vec<Planned>) {
    worker.with_io(move |io| {
        for (number, Planned { socket, to, len, dont_fragment }) in batch.into_iter().enumerate() {
            io.reply_buffer()[..4].copy_from_slice(&(number as u32).to_be_bytes());
            io.reply(&Route { socket, to, from: None, tos: 0, dont_fragment }, len);
        }
    });
}

/// The numbers of the next `count` datagrams.
fn numbers(peer: &StdSocket, count: usize) -> Vec<u32> {
    let mut buffer = [0; 65_536];
    (0..count)
        .map(|_| {
            let len = peer.recv(&mut buffer).unwrap();
            assert!(len >= 4);
            u32::from_be_bytes(buffer[..4].try_into().unwrap())
        })
        .collect()
}

fn h51_mixed_lengths_of_one_socket_arrive_as_they_were_sent() {
    let (worker, sockets) = Worker::start(Behavior::Reports, |io| relayed(io, 2));
    let peer = plain_socket("127.0.0.1:0");
    let to = peer.local_addr().unwrap();
    let planned = |(socket, len): (usize, usize)| Planned {
        socket: sockets[socket],
        to,
        len,
        dont_fragment: false,
    };
    let batches: [&[(usize, usize)]; 4] = [
        &[(0, 800), (1, 160), (0, 1_100), (0, 1_200)],
        &[(0, 800), (1, 160), (0, 1_100), (1, 170), (0, 1_200), (0, 1_300), (1, 1_300)],
        &[(0, 1_100), (0, 1_200), (1, 160), (0, 800)],
        &[(0, 800), (1, 160), (0, 500), (0, 500), (0, 400), (1, 160), (0, 900), (0, 1_000)],
    ];
    for batch in batches {
        send(&worker, batch.iter().copied().map(planned).collect());
        let arrived = numbers(&peer, batch.len());
        for socket in 0..2 {
            let sent: Vec<u32> = (0..)
                .zip(batch)
                .filter(|(_, (from, _))| *from == socket)
                .map(|(number, _)| number)
                .collect();
            let of: Vec<u32> = arrived
                .iter()
                .copied()
                .filter(|number| batch[*number as usize].0 == socket)
                .collect();
            assert_eq!(of, sent, "socket {socket} of {batch:?}");
        }
    }
}

fn h51_a_message_that_is_repeated_is_not_overtaken() {
    let (worker, sockets) = Worker::start(Behavior::Reports, |io| relayed(io, 2));
    let (a, b) = (sockets[0], sockets[1]);
    let peer = plain_socket("127.0.0.1:0");
    let to = peer.local_addr().unwrap();
    let other = plain_socket("127.0.0.1:0");
    let beside = other.local_addr().unwrap();
    let dead = plain_socket("127.0.0.1:0").local_addr().unwrap(); // bound and closed again
    let plan = |socket, to| Planned { socket, to, len: 100, dont_fragment: false };
    for _ in 0..20 {
        // The ICMP error of the first is pending on A when A's next is sent.
        send(
            &worker,
            vec![
                plan(a, dead),
                plan(b, beside),
                plan(a, to),
                plan(b, beside),
                plan(a, to),
                plan(b, beside),
                plan(a, to),
            ],
        );
        assert_eq!(numbers(&peer, 3), [2, 4, 6]);
        assert_eq!(numbers(&other, 3), [1, 3, 5]);
    }
}

fn h51_a_burst_that_is_sent_apart_is_not_overtaken() {
    let (worker, sockets) = Worker::start(Behavior::Reports, |io| relayed(io, 2));
    let peer = plain_socket("127.0.0.1:0");
    let to = peer.local_addr().unwrap();
    let lengths = [
        (0, 100),
        (1, 90),
        (0, 30_000),
        (0, 30_000),
        (1, 90),
        (0, 90),
        (0, 90),
        (0, 200),
        (1, 90),
        (0, 300),
    ];
    send(
        &worker,
        lengths
            .iter()
            .map(|(socket, len)| Planned {
                socket: sockets[*socket],
                to,
                len: *len,
                dont_fragment: false,
            })
            .collect(),
    );
    let arrived = numbers(&peer, lengths.len());
    for socket in 0..2 {
        let of: Vec<u32> = arrived
            .iter()
            .copied()
            .filter(|number| lengths[*number as usize].0 == socket)
            .collect();
        assert!(of.is_sorted(), "socket {socket}: {of:?}");
    }
}

fn h51_a_flow_that_asks_for_df_keeps_its_order_and_leaves_the_others_alone() {
    const SOCKETS: usize = 30;
    let (worker, sockets) = Worker::start(Behavior::Reports, |io| relayed(io, SOCKETS));
    let peer = plain_socket("127.0.0.1:0");
    let to = peer.local_addr().unwrap();
    let mut batch: Vec<_> = sockets
        .iter()
        .map(|socket| Planned { socket: *socket, to, len: 100, dont_fragment: false })
        .collect();
    batch[7].dont_fragment = true;
    batch.push(batch[7]);
    batch.push(Planned { dont_fragment: false, ..batch[7] });
    send(&worker, batch);
    let arrived = numbers(&peer, SOCKETS + 2);
    let of: Vec<u32> = arrived.into_iter().filter(|number| [7, 30, 31].contains(number)).collect();
    assert_eq!(of, [7, 30, 31]);
    worker.settle();
    if support::backend() == Backend::IoUring {
        let calls = worker.stats.send_calls.value();
        assert!(
            calls <= 3,
            "the datagrams of 29 other sockets left through the ring, and {calls} calls were made"
        );
    }
}

fn h51_a_listener_s_large_and_small_datagrams_leave_in_order_and_by_two_calls() {
    const CLIENTS: usize = 20;
    let (worker, socket) = Worker::start(Behavior::Reports, steered_listener);
    let clients: Vec<_> = (0..CLIENTS).map(|_| plain_socket("127.0.0.1:0")).collect();
    let planned = |client: usize, len| Planned {
        socket,
        to: clients[client].local_addr().unwrap(),
        len,
        dont_fragment: false,
    };
    // Some clients get small ones, the others large ones.
    send(
        &worker,
        (0..4 * CLIENTS)
            .map(|number| {
                planned(
                    number % CLIENTS,
                    if number % 2 == 0 { 100 + number } else { 1_300 + number },
                )
            })
            .collect(),
    );
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(numbers(client, 4), [0, 1, 2, 3].map(|round| (round * CLIENTS + number) as u32));
    }
    worker.settle();
    assert_eq!(worker.stats.send_calls.value(), 2, "one call for each of the two sockets");
    // One client gets both kinds.
    let lens = [100, 1_300, 101, 1_301, 1_302, 102, 103, 1_303];
    send(&worker, lens.iter().map(|len| planned(0, *len)).collect());
    assert!(numbers(&clients[0], lens.len()).is_sorted());
}

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

fn h51_many_sockets_with_dead_peers_and_refused_datagrams_keep_the_order_of_every_flow() {
    const TOO_LONG: usize = 65_508; // one byte more than IPv4 carries
    let (worker, (mut sockets, listener)) =
        Worker::start(Behavior::Reports, |io| (relayed(io, 12), steered_listener(io)));
    sockets.push(listener);
    let peers: Vec<_> = (0..3).map(|_| plain_socket("127.0.0.1:0")).collect();
    let alive: Vec<_> = peers.iter().map(|peer| peer.local_addr().unwrap()).collect();
    let dead = plain_socket("127.0.0.1:0").local_addr().unwrap();
    let mut random = Random(51);
    for round in 0..150 {
        let few = 1 + random.below(sockets.len());
        let count = 1 + random.below(110);
        let batch: Vec<_> = (0..count)
            .map(|_| {
                let to = if random.below(8) == 0 { dead } else { alive[random.below(alive.len())] };
                let len = match random.below(40) {
                    0 => TOO_LONG,
                    1..10 => 500,
                    10..20 => 1_200,
                    _ => 4 + random.below(1_400),
                };
                Planned {
                    socket: sockets[random.below(few)],
                    to,
                    len,
                    dont_fragment: random.below(60) == 0,
                }
            })
            .collect();
        let refused = batch.iter().filter(|planned| planned.len == TOO_LONG).count() as u64;
        let before = worker.stats.dropped_send_refused.value();
        send(&worker, batch.clone());
        worker.settle();
        assert_eq!(worker.stats.dropped_send_refused.value() - before, refused, "round {round}");
        for (peer, to) in peers.iter().zip(&alive) {
            let mut flows: HashMap<SocketKey, Vec<u32>> = HashMap::new();
            for (number, planned) in (0..)
                .zip(&batch)
                .filter(|(_, planned)| planned.to == *to && planned.len != TOO_LONG)
            {
                flows.entry(planned.socket).or_default().push(number);
            }
            let expected = flows.values().map(Vec::len).sum();
            let mut arrived: HashMap<SocketKey, Vec<u32>> = HashMap::new();
            for number in numbers(peer, expected) {
                arrived.entry(batch[number as usize].socket).or_default().push(number);
            }
            assert_eq!(arrived, flows, "round {round}");
        }
    }
}
