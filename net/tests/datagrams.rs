//! Datagrams through the loop, over real sockets on loopback.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

mod support;

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket as StdSocket};

use causeway_net::{DatagramListenerOptions, DontFragment, Route, UdpOptions, UdpSocket, steering};
use socket2::SockRef;
use support::{Behavior, Event, Worker, listen_udp, plain_socket};

over_each_backend!(
    ten_thousand_datagrams_come_back_whole_with_a_header_in_front,
    the_empty_and_the_largest_datagram_pass,
    a_datagram_that_the_kernel_refuses_is_counted_and_stops_nothing,
    the_traffic_class_is_seen_and_set_in_both_families,
    a_wildcard_socket_answers_from_the_address_that_was_asked,
    a_steered_wildcard_listener_answers_from_the_address_that_was_asked_whatever_the_length,
    a_released_port_can_be_bound_again_in_the_same_batch_after_its_last_datagram_left,
    a_relayed_port_has_one_owner,
    thousands_of_sockets_each_bring_their_own_datagrams,
    datagrams_that_overflow_the_receive_buffer_are_counted,
    more_replies_than_an_outbox_and_an_arena_hold_are_all_accounted_for,
    the_buffers_are_as_asked_and_df_is_set_or_clear,
    one_flooding_socket_does_not_starve_another,
);

fn ten_thousand_datagrams_come_back_whole_with_a_header_in_front() {
    let (worker, (_, server)) =
        Worker::start(Behavior::EchoesQuietly, |io| listen_udp(io, "127.0.0.1:0"));
    let client = plain_socket("127.0.0.1:0");
    client.connect(server).unwrap();
    let mut buffer = [0; 2048];
    for round in 0..200u32 {
        for number in 0..50 {
            let id = round * 50 + number;
            let mut content = vec![id as u8; 4 + (id as usize % 1_200)];
            content[..4].copy_from_slice(&id.to_be_bytes());
            client.send(&content).unwrap();
        }
        for number in 0..50 {
            let id = round * 50 + number;
            let count = client.recv(&mut buffer).unwrap();
            assert_eq!(count, 8 + id as usize % 1_200);
            assert_eq!(buffer[..4], *b"echo");
            assert_eq!(buffer[4..8], id.to_be_bytes());
            assert!(buffer[8..count].iter().all(|byte| *byte == id as u8));
        }
    }
    worker.settle();
    assert_eq!(worker.stats.datagrams_received.value(), 10_000);
    assert_eq!(worker.stats.datagrams_sent.value(), 10_000);
    assert!(worker.stats.send_calls.value() < 10_000, "batches leave with one call");
}

fn the_empty_and_the_largest_datagram_pass() {
    let (_worker, (_, server)) =
        Worker::start(Behavior::EchoesQuietly, |io| listen_udp(io, "127.0.0.1:0"));
    let client = plain_socket("127.0.0.1:0");
    client.connect(server).unwrap();
    let mut buffer = vec![0; 70_000];
    for len in [0, 1, 65_503] {
        client.send(&vec![0xa5; len]).unwrap();
        let count = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..4], b"echo");
        assert_eq!(count, 4 + len);
        assert!(buffer[4..count].iter().all(|byte| *byte == 0xa5));
    }
}

fn a_datagram_that_the_kernel_refuses_is_counted_and_stops_nothing() {
    let (worker, (key, _)) = Worker::start(Behavior::Reports, |io| listen_udp(io, "127.0.0.1:0"));
    let peer = plain_socket("127.0.0.1:0");
    let to = peer.local_addr().unwrap();
    worker.with_io(move |io| {
        let route = Route { socket: key, to, from: None, tos: 0, dont_fragment: false };
        io.reply(&route, 65_508); // one more than IPv4 can carry
        io.reply_buffer()[..5].copy_from_slice(b"after");
        io.reply(&route, 5);
    });
    let mut buffer = [0; 64];
    assert_eq!(peer.recv(&mut buffer).unwrap(), 5);
    assert_eq!(&buffer[..5], b"after");
    worker.settle();
    assert_eq!(worker.stats.dropped_send_refused.value(), 1);
}

fn the_traffic_class_is_seen_and_set_in_both_families() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let (worker, (_, server)) = Worker::start(Behavior::Echoes, |io| listen_udp(io, any));
        let options = UdpOptions { reuse_port: false, ..UdpOptions::LISTENER };
        let observer = Worker::start(Behavior::Reports, |io| {
            io.bind_udp(any.parse().unwrap(), &options, 3).unwrap()
        });
        let key = observer.1;
        // EF with ECT(0), then nothing, then CS1 with ECT(1): each packet has its own.
        for tos in [0xb8 | 2, 0, 0x20 | 1] {
            observer.0.with_io(move |io| {
                io.reply_buffer()[0] = tos;
                io.reply(
                    &Route { socket: key, to: server, from: None, tos, dont_fragment: false },
                    1,
                );
            });
            let Event::Datagram(arrival, _) = worker.event() else { panic!("a datagram") };
            assert_eq!(arrival.tos, tos);
            let Event::Datagram(arrival, content) = observer.0.event() else {
                panic!("a datagram")
            };
            assert_eq!((arrival.tos, arrival.tag), (tos, 3));
            assert_eq!(content, [&b"echo"[..], &[tos]].concat());
        }
    }
}

fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    for (any, asked) in [("0.0.0.0:0", "127.0.0.2"), ("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")]
    {
        let (worker, (_, server)) = Worker::start(Behavior::Echoes, |io| listen_udp(io, any));
        let asked = SocketAddr::new(asked.parse().unwrap(), server.port());
        let client = plain_socket(if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
        client.connect(asked).unwrap(); // takes answers from there only
        client.send(b"where").unwrap();
        assert_eq!(client.recv(&mut [0; 64]).unwrap(), 9);
        let Event::Datagram(arrival, _) = worker.event() else { panic!("a datagram") };
        assert_eq!(arrival.destination, asked);
    }
}

fn a_steered_wildcard_listener_answers_from_the_address_that_was_asked_whatever_the_length() {
    let (_worker, server) = Worker::start(Behavior::EchoesQuietly, |io| {
        let group =
            steering::bind_udp_group("0.0.0.0:0".parse().unwrap(), &UdpOptions::LISTENER, 1)
                .unwrap();
        let socket = group.sockets.into_iter().next().unwrap();
        let local = socket.local_addr();
        io.listen_udp(socket, DatagramListenerOptions::plain(1)).unwrap();
        local
    });
    for asked in ["127.0.0.2", "127.0.0.1", "127.0.0.3"] {
        let client = plain_socket("127.0.0.1:0");
        client.connect((asked, server.port())).unwrap(); // takes answers from there only
        for len in [1, 1_248, 1_249, 1_400, 5] {
            client.send(&vec![7; len]).unwrap();
            assert_eq!(client.recv(&mut [0; 2_000]).unwrap(), 4 + len);
        }
    }
}

fn a_released_port_can_be_bound_again_in_the_same_batch_after_its_last_datagram_left() {
    let (worker, ()) = Worker::start(Behavior::Reports, |_| ());
    let peer = plain_socket("127.0.0.1:0");
    let to = peer.local_addr().unwrap();
    let (first, second) = worker.with_io(move |io| {
        let first = io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, 10).unwrap();
        let port = io.local_addr(first).unwrap();
        io.reply_buffer()[..4].copy_from_slice(b"last");
        io.reply(&Route { socket: first, to, from: None, tos: 0, dont_fragment: false }, 4);
        io.release_udp(first);
        io.reply(&Route { socket: first, to, from: None, tos: 0, dont_fragment: false }, 4);
        (
            port,
            io.bind_udp(port, &UdpOptions::RELAYED, 11)
                .map(|second| (second, io.local_addr(second).unwrap())),
        )
    });
    let mut buffer = [0; 16];
    assert_eq!(peer.recv_from(&mut buffer).unwrap(), (4, first));
    let (key, address) = second.unwrap();
    assert_eq!(address, first);
    peer.send_to(b"new", address).unwrap();
    let Event::Datagram(arrival, content) = worker.event() else { panic!("a datagram") };
    assert_eq!((arrival.socket, arrival.tag, content), (key, 11, b"new".to_vec()));
    assert_eq!(worker.stats.dropped_socket_gone.value(), 1);
    assert_eq!(worker.stats.sockets_open.value(), 1);
}

fn a_relayed_port_has_one_owner() {
    let taken = plain_socket("127.0.0.1:0").local_addr().unwrap();
    let holder = plain_socket(&taken.to_string());
    let (worker, ()) = Worker::start(Behavior::Reports, |_| ());
    let bind = move || {
        worker.with_io(move |io| io.bind_udp(taken, &UdpOptions::RELAYED, 0).map_err(|e| e.kind()))
    };
    assert_eq!(bind().unwrap_err(), ErrorKind::AddrInUse);
    drop(holder);
    bind().unwrap();
    assert_eq!(bind().unwrap_err(), ErrorKind::AddrInUse, "two relayed sockets never share a port");
}

fn thousands_of_sockets_each_bring_their_own_datagrams() {
    const SOCKETS: u64 = 2_000;
    let (worker, addresses) = Worker::start(Behavior::Reports, |io| {
        (0..SOCKETS)
            .map(|tag| {
                let key =
                    io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, tag).unwrap();
                io.local_addr(key).unwrap()
            })
            .collect::<Vec<_>>()
    });
    let peer = plain_socket("127.0.0.1:0");
    for (tag, address) in addresses.iter().enumerate() {
        peer.send_to(&(tag as u64).to_be_bytes(), address).unwrap();
    }
    let mut seen = vec![false; SOCKETS as usize];
    for _ in 0..SOCKETS {
        let Event::Datagram(arrival, content) = worker.event() else { panic!("a datagram") };
        assert_eq!(content, arrival.tag.to_be_bytes());
        assert_eq!(arrival.destination, addresses[arrival.tag as usize]);
        assert!(!std::mem::replace(&mut seen[arrival.tag as usize], true));
    }
}

fn datagrams_that_overflow_the_receive_buffer_are_counted() {
    let options = UdpOptions { receive_buffer: 4_096, ..UdpOptions::LISTENER };
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let client = plain_socket("127.0.0.1:0");
    for _ in 0..100 {
        client.send_to(&[0; 1_000], socket.local_addr()).unwrap();
    }
    let drops = socket.receive_queue_drops().unwrap();
    assert!((50..100).contains(&drops), "{drops}");
    let (worker, ()) = Worker::start(Behavior::Reports, |io| {
        io.listen_udp(socket, DatagramListenerOptions::plain(0)).unwrap();
    });
    for _ in 0..100 - drops {
        worker.event();
    }
    worker.settle();
    assert_eq!(worker.stats.dropped_receive_queue_full.value(), drops);
}

fn more_replies_than_an_outbox_and_an_arena_hold_are_all_accounted_for() {
    let (worker, (key, _)) = Worker::start(Behavior::Reports, |io| listen_udp(io, "127.0.0.1:0"));
    let sink = plain_socket("127.0.0.1:0");
    let to = sink.local_addr().unwrap();
    worker.with_io(move |io| {
        for _ in 0..1_000 {
            io.reply_buffer()[0] = 1;
            io.reply(&Route { socket: key, to, from: None, tos: 0, dont_fragment: false }, 1_200);
        }
    });
    worker.settle();
    let stats = &worker.stats;
    let settled = stats.datagrams_sent.value() + stats.dropped_send_buffer_full.value();
    assert_eq!(settled, 1_000, "sent, or dropped by a full buffer");
}

fn the_buffers_are_as_asked_and_df_is_set_or_clear() {
    for (dont_fragment, discover) in [
        (DontFragment::Small, libc::IP_PMTUDISC_PROBE),
        (DontFragment::Never, libc::IP_PMTUDISC_OMIT),
    ] {
        check_options(&UdpOptions { dont_fragment, ..UdpOptions::RELAYED }, discover);
    }
}

fn check_options(options: &UdpOptions, expected: i32) {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
    assert!(socket.buffer_sizes().receive >= 200 << 10, "{:?}", socket.buffer_sizes());
    assert_eq!(
        SockRef::from(&socket).recv_buffer_size().unwrap(),
        2 * socket.buffer_sizes().receive
    );
    let mut discover = -1i32;
    let mut len = 4;
    // SAFETY: the kernel writes four bytes to `discover`.
    unsafe {
        use std::os::fd::AsRawFd;
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            (&raw mut discover).cast(),
            &raw mut len,
        );
    }
    assert_eq!(discover, expected);
}

fn one_flooding_socket_does_not_starve_another() {
    let (worker, (flooded, quiet)) = Worker::start(Behavior::EchoesQuietly, |io| {
        let relayed = io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, 5).unwrap();
        (listen_udp(io, "127.0.0.1:0").1, io.local_addr(relayed).unwrap())
    });
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let flooder = StdSocket::bind("127.0.0.1:0").unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = flooder.send_to(&[1; 100], flooded);
            }
        });
        let client = plain_socket("127.0.0.1:0");
        client.connect(quiet).unwrap();
        while worker.stats.datagrams_received.value() < 1_000 {
            std::thread::yield_now();
        }
        for _ in 0..50 {
            client.send(b"ping").unwrap();
            assert_eq!(client.recv(&mut [0; 16]).unwrap(), 8);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    worker.settle();
    assert!(worker.stats.datagrams_received.value() > 1_050);
}
