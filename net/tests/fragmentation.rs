//! DF and its effects, in a network namespace whose only link is narrow.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

mod support;

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use causeway_net::{
    DatagramListenerOptions, DontFragment, IcmpError, Io, Route, SocketKey, UdpOptions, steering,
};
use socket2::{Domain, Protocol, Socket, Type};
use support::{Behavior, Event, Worker, plain_socket};

over_each_backend!(
    rfc8656_14_df_is_set_for_single_datagrams_over_ipv4,
    rfc8656_14_single_datagrams_are_not_fragmented_over_ipv6,
    rfc8656_11_5_a_router_s_mtu_is_reported_over_ipv4,
    rfc8656_11_5_a_router_s_mtu_is_reported_over_ipv6,
    bursts_longer_than_the_link_takes_are_fragmented_or_reported_over_ipv4,
    bursts_longer_than_the_link_takes_are_fragmented_or_reported_over_ipv6,
    what_is_not_cut_is_not_overtaken,
    rfc8656_14_small_datagrams_have_df_and_large_ones_do_not,
    rfc8656_14_no_datagram_has_df_if_the_operator_says_never,
    rfc8656_14_a_link_narrower_than_small_datagrams_gets_fragments,
    rfc8656_14_a_path_narrower_than_small_datagrams_gets_them_without_df,
);

/// Set in the process that runs inside.
const INSIDE: &str = "CAUSEWAY_NET_INSIDE";
const MTU: u32 = 1_400;

/// Runs `test` again, over the same backend, in a namespace of its own, whose loopback has an MTU
/// of [`MTU`]; `check` there.
fn in_namespace(test: &str, check: impl FnOnce()) {
    in_namespace_of(MTU, test, check);
}

fn in_namespace_of(mtu: u32, test: &str, check: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return check();
    }
    // SAFETY: it takes no pointer and cannot fail.
    let flags = if unsafe { libc::geteuid() } == 0 { "-n" } else { "-rn" };
    let script = format!(
        "ip link set lo mtu {mtu} up && exec \"$0\" --exact {}::{test} --nocapture",
        support::backend()
    );
    let exe = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args([flags, "sh", "-c", &script])
        .arg(exe)
        .env(INSIDE, "1")
        .output()
        .expect("unshare runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn start(local: &'static str) -> (Worker, SocketKey, SocketAddr) {
    let (worker, (key, address)) = Worker::start(Behavior::Reports, |io| {
        let key = io.bind_udp(local.parse().unwrap(), &UdpOptions::RELAYED, 42).unwrap();
        (key, io.local_addr(key).unwrap())
    });
    (worker, key, address)
}

fn send(worker: &Worker, socket: SocketKey, to: SocketAddr, plan: &'static [(usize, bool)]) {
    worker.with_io(move |io| {
        for (len, dont_fragment) in plan {
            io.reply_buffer()[..*len].fill(*len as u8);
            io.reply(
                &Route { socket, to, from: None, tos: 0, dont_fragment: *dont_fragment },
                *len,
            );
        }
    });
}

/// Datagrams that are too long for this host's own link are dropped and reported with DF, and
/// fragmented without, in any order of one batch.
fn check_own_link(local: &'static str, kind: u8, code: u8) {
    let (worker, key, _) = start(local);
    let peer = plain_socket(local);
    let to = peer.local_addr().unwrap();
    send(
        &worker,
        key,
        to,
        &[(100, false), (3_000, true), (101, true), (3_001, false), (3_002, true), (102, false)],
    );
    for len in [100, 101, 3_001, 102] {
        let mut buffer = [0; 4_000];
        assert_eq!(peer.recv(&mut buffer).unwrap(), len);
        assert!(buffer[..len].iter().all(|byte| *byte == len as u8));
    }
    // Over IPv4 the kernel does not tell the port.
    let about = if to.is_ipv4() { SocketAddr::new(to.ip(), 0) } else { to };
    for _ in 0..2 {
        let Event::Icmp(socket, 42, error) = worker.event() else { panic!("a report") };
        assert_eq!(
            (socket, error),
            (key, IcmpError { peer: about, kind, code, data: MTU.to_be_bytes() })
        );
    }
    worker.assert_quiet();
    worker.settle();
    assert_eq!(
        (worker.stats.datagrams_sent.value(), worker.stats.dropped_send_refused.value()),
        (4, 2)
    );
    // A quiet loop wakes once a second. A report does not wait for that: none of ten in a row does.
    let before = Instant::now();
    for _ in 0..10 {
        send(&worker, key, to, &[(3_000, true)]);
        let Event::Icmp(..) = worker.event() else { panic!("a report") };
    }
    assert!(
        before.elapsed() < Duration::from_secs(8),
        "each report waits for a turn that comes anyway"
    );
}

fn rfc8656_14_df_is_set_for_single_datagrams_over_ipv4() {
    in_namespace("rfc8656_14_df_is_set_for_single_datagrams_over_ipv4", || {
        check_own_link("127.0.0.1:0", 3, 4);
    });
}

fn rfc8656_14_single_datagrams_are_not_fragmented_over_ipv6() {
    in_namespace("rfc8656_14_single_datagrams_are_not_fragmented_over_ipv6", || {
        check_own_link("[::1]:0", 2, 0);
    });
}

/// A router's "too big" for a datagram from `from` to `to`, as this host receives it.
fn too_big(from: SocketAddr, to: SocketAddr, mtu: u16) {
    let ports = [&from.port().to_be_bytes()[..], &to.port().to_be_bytes(), &[0, 8, 0, 0]].concat();
    let (domain, protocol, message) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let inner = [
                &[0x45, 0, 0, 28, 0, 1, 0x40, 0, 64, 17, 0, 0][..],
                &from.octets(),
                &to.octets(),
                &ports,
            ]
            .concat();
            let mut message = [&[3, 4, 0, 0, 0, 0][..], &mtu.to_be_bytes(), &inner].concat();
            let sum: u32 = message
                .chunks(2)
                .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                .sum();
            let sum = (sum & 0xffff) + (sum >> 16);
            message[2..4].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
            (Domain::IPV4, Protocol::ICMPV4, message)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let inner =
                [&[0x60, 0, 0, 0, 0, 8, 17, 64][..], &from.octets(), &to.octets(), &ports].concat();
            (
                Domain::IPV6,
                Protocol::ICMPV6,
                [&[2, 0, 0, 0, 0, 0][..], &mtu.to_be_bytes(), &inner].concat(),
            )
        }
        _ => unreachable!("both are of one family"),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol)).unwrap();
    socket.send_to(&message, &SocketAddr::new(from.ip(), 0).into()).unwrap();
}

/// Datagrams that are too long for a link farther off are reported by a router.
fn check_farther_link(local: &'static str, kind: u8, code: u8) {
    let (worker, key, from) = start(local);
    let peer = plain_socket(local);
    let to = peer.local_addr().unwrap();
    send(&worker, key, to, &[(1_350, true)]);
    assert_eq!(peer.recv(&mut [0; 2_000]).unwrap(), 1_350);
    too_big(from, to, 1_300);
    let Event::Icmp(socket, 42, error) = worker.event() else { panic!("a report") };
    assert_eq!(
        (socket, error),
        (key, IcmpError { peer: to, kind, code, data: 1_300u32.to_be_bytes() })
    );
    // Peers that exist are still reached.
    send(&worker, key, to, &[(1_000, true), (1_351, false)]);
    for len in [1_000, 1_351] {
        assert_eq!(peer.recv(&mut [0; 2_000]).unwrap(), len);
    }
}

fn rfc8656_11_5_a_router_s_mtu_is_reported_over_ipv4() {
    in_namespace("rfc8656_11_5_a_router_s_mtu_is_reported_over_ipv4", || {
        check_farther_link("127.0.0.1:0", 3, 4);
    });
}

fn rfc8656_11_5_a_router_s_mtu_is_reported_over_ipv6() {
    in_namespace("rfc8656_11_5_a_router_s_mtu_is_reported_over_ipv6", || {
        check_farther_link("[::1]:0", 2, 0);
    });
}

/// Datagrams of equal length that the link takes leave as one message; longer ones one by one,
/// fragmented or reported.
fn check_bursts(local: &'static str, overhead: usize) {
    const COUNT: usize = 5;
    let (worker, key, _) = start(local);
    let peer = plain_socket(local);
    let to = peer.local_addr().unwrap();
    let longest = MTU as usize - overhead;
    for (len, dont_fragment, arrive) in [
        (longest, false, true),
        (longest, true, true),
        (longest + 1, false, true),
        (1_390, true, false),
    ] {
        let plan = move |io: &mut causeway_net::Io| {
            for number in 0..COUNT {
                io.reply_buffer()[..len].fill(number as u8);
                io.reply(&Route { socket: key, to, from: None, tos: 0, dont_fragment }, len);
            }
        };
        worker.with_io(plan);
        for number in 0..COUNT {
            if arrive {
                let mut buffer = [0; 2_000];
                assert_eq!(peer.recv(&mut buffer).unwrap(), len);
                assert!(buffer[..len].iter().all(|byte| *byte == number as u8));
            } else {
                let Event::Icmp(_, 42, error) = worker.event() else { panic!("a report") };
                assert_eq!(error.data, MTU.to_be_bytes());
            }
        }
    }
    worker.assert_quiet();
    worker.settle();
    let stats = &worker.stats;
    assert_eq!(
        (stats.datagrams_sent.value(), stats.datagrams_sent_merged.value()),
        (3 * COUNT as u64, 2 * COUNT as u64)
    );
    assert_eq!(stats.dropped_send_refused.value(), COUNT as u64);
}

fn bursts_longer_than_the_link_takes_are_fragmented_or_reported_over_ipv4() {
    in_namespace("bursts_longer_than_the_link_takes_are_fragmented_or_reported_over_ipv4", || {
        check_bursts("127.0.0.1:0", 28);
    });
}

fn bursts_longer_than_the_link_takes_are_fragmented_or_reported_over_ipv6() {
    in_namespace("bursts_longer_than_the_link_takes_are_fragmented_or_reported_over_ipv6", || {
        check_bursts("[::1]:0", 48);
    });
}

fn what_is_not_cut_is_not_overtaken() {
    in_namespace("what_is_not_cut_is_not_overtaken", || {
        const PLAN: [(usize, bool); 7] = [
            (1_390, false),
            (1_390, false),
            (1_395, false),
            (1_395, false),
            (100, false),
            (1_200, false),
            (1_201, false),
        ];
        let (worker, key, _) = start("127.0.0.1:0");
        let peer = plain_socket("127.0.0.1:0");
        send(&worker, key, peer.local_addr().unwrap(), &PLAN);
        let mut buffer = [0; 2_000];
        assert_eq!(PLAN.map(|_| peer.recv(&mut buffer).unwrap()), PLAN.map(|(len, _)| len));
    });
}

/// A relayed socket, and the listener of one worker in a steered group.
fn start_both(address: &'static str, dont_fragment: DontFragment) -> (Worker, [SocketKey; 2]) {
    Worker::start(Behavior::Reports, |io| {
        let relayed = UdpOptions { dont_fragment, ..UdpOptions::RELAYED };
        let listener = UdpOptions { dont_fragment, ..UdpOptions::LISTENER };
        let group = steering::bind_udp_group(address.parse().unwrap(), &listener, 1).unwrap();
        assert!(group.unsteered.is_none());
        let listener = io
            .listen_udp(
                group.sockets.into_iter().next().unwrap(),
                DatagramListenerOptions::plain(1),
            )
            .unwrap();
        [io.bind_udp("127.0.0.1:0".parse().unwrap(), &relayed, 42).unwrap(), listener]
    })
}

/// A raw socket that receives whole UDP packets, with their IP headers.
fn wire() -> Socket {
    let wire = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)).unwrap();
    wire.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    wire
}

/// The lengths of the next datagrams to `port`, and whether DF is set.
fn seen(wire: &Socket, port: u16, count: usize) -> Vec<(usize, bool)> {
    let mut packet = [0; 65_536];
    let mut found = Vec::new();
    while found.len() < count {
        let len = std::io::Read::read(&mut &*wire, &mut packet).unwrap();
        let header = usize::from(packet[0] & 15) * 4;
        if packet[header + 2..header + 4] == port.to_be_bytes() {
            found.push((len - header - 8, packet[6] & 0x40 != 0));
        }
    }
    found
}

fn reply_each(io: &mut Io, route: Route, lens: &[usize]) {
    for len in lens {
        io.reply_buffer()[..*len].fill(*len as u8);
        io.reply(&route, *len);
    }
}

/// The same, each as a message of its own: what differs in its traffic class is not merged.
fn reply_apart(io: &mut Io, route: Route, lens: &[usize]) {
    for (len, tos) in lens.iter().zip([0, 0x20].into_iter().cycle()) {
        reply_each(io, Route { tos, ..route }, &[*len]);
    }
}

fn plain_route(socket: SocketKey, to: SocketAddr) -> Route {
    Route { socket, to, from: None, tos: 0, dont_fragment: false }
}

const LENS: [usize; 9] = [100, 1_252, 1_253, 101, 1_300, 1_301, 5, 1_251, 1_299];

fn rfc8656_14_small_datagrams_have_df_and_large_ones_do_not() {
    in_namespace("rfc8656_14_small_datagrams_have_df_and_large_ones_do_not", || {
        for address in ["127.0.0.1:0", "0.0.0.0:0"] {
            let (worker, sockets) = start_both(address, DontFragment::Small);
            let (wire, peer) = (wire(), plain_socket("127.0.0.1:0"));
            let to = peer.local_addr().unwrap();
            for socket in sockets {
                for _ in 0..3 {
                    worker.with_io(move |io| reply_apart(io, plain_route(socket, to), &LENS));
                    assert_eq!(
                        seen(&wire, to.port(), LENS.len()),
                        LENS.map(|len| (len, len <= 1_252))
                    );
                }
                // Singles, which leave through a ring where there is one.
                for len in LENS {
                    worker.with_io(move |io| reply_apart(io, plain_route(socket, to), &[len]));
                    assert_eq!(seen(&wire, to.port(), 1), [(len, len <= 1_252)]);
                }
            }
            // A client's request for DF counts for any length, and replies that show whether
            // fragments pass have DF clear.
            let [relayed, listener] = sockets;
            worker.with_io(move |io| {
                reply_apart(
                    io,
                    Route { dont_fragment: true, ..plain_route(relayed, to) },
                    &[1_350],
                );
                reply_apart(io, plain_route(relayed, to), &[1_350, 100]);
            });
            assert_eq!(seen(&wire, to.port(), 3), [(1_350, true), (1_350, false), (100, true)]);
            worker.with_io(move |io| {
                io.reply_buffer()[..100].fill(1);
                io.reply_in_fragments(&plain_route(listener, to), 100);
                reply_apart(io, plain_route(listener, to), &[101]);
            });
            assert_eq!(seen(&wire, to.port(), 2), [(100, false), (101, true)]);
        }
    });
}

fn rfc8656_14_no_datagram_has_df_if_the_operator_says_never() {
    in_namespace("rfc8656_14_no_datagram_has_df_if_the_operator_says_never", || {
        let (worker, sockets) = start_both("127.0.0.1:0", DontFragment::Never);
        let (wire, peer) = (wire(), plain_socket("127.0.0.1:0"));
        let to = peer.local_addr().unwrap();
        for socket in sockets {
            worker.with_io(move |io| reply_apart(io, plain_route(socket, to), &LENS));
            assert_eq!(seen(&wire, to.port(), LENS.len()), LENS.map(|len| (len, false)));
        }
        worker.with_io(move |io| {
            reply_apart(io, Route { dont_fragment: true, ..plain_route(sockets[0], to) }, &[100]);
        });
        assert_eq!(seen(&wire, to.port(), 1), [(100, true)]);
    });
}

fn rfc8656_14_a_link_narrower_than_small_datagrams_gets_fragments() {
    in_namespace_of(700, "rfc8656_14_a_link_narrower_than_small_datagrams_gets_fragments", || {
        let (worker, sockets) = start_both("127.0.0.1:0", DontFragment::Small);
        let peer = plain_socket("127.0.0.1:0");
        let to = peer.local_addr().unwrap();
        let plans: [&[usize]; 4] = [
            &[1_000],
            &[100, 1_000, 1_001, 101, 1_252, 1_253],
            &[900; 5],
            &[600, 800, 600, 600, 900, 900],
        ];
        for socket in sockets {
            for plan in plans {
                worker.with_io(move |io| reply_each(io, plain_route(socket, to), plan));
                for len in plan {
                    assert_eq!(peer.recv(&mut [0; 2_000]).unwrap(), *len, "of {plan:?}");
                }
            }
        }
        worker.settle();
        assert_eq!(worker.stats.dropped_send_refused.value(), 0);
    });
}

fn rfc8656_14_a_path_narrower_than_small_datagrams_gets_them_without_df() {
    in_namespace("rfc8656_14_a_path_narrower_than_small_datagrams_gets_them_without_df", || {
        let (worker, key, from) = start("127.0.0.1:0");
        let (wire, peer) = (wire(), plain_socket("127.0.0.1:0"));
        let to = peer.local_addr().unwrap();
        send(&worker, key, to, &[(1_000, false)]);
        assert_eq!(seen(&wire, to.port(), 1), [(1_000, true)]);
        too_big(from, to, 600);
        let Event::Icmp(..) = worker.event() else { panic!("a report") };
        worker.with_io(move |io| reply_apart(io, plain_route(key, to), &[1_000, 572, 573]));
        assert_eq!(seen(&wire, to.port(), 3), [(1_000, false), (572, true), (573, false)]);
    });
}
