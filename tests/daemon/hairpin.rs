//! Two clients of one `turnd`, each the other's peer: each receives the same bytes as through the
//! kernel.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use causeway_relay::Transport;
use causeway_wire::Message;
use causeway_wire::attribute::XorPeerAddress;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};

use crate::turnd::{self, Turnd};
use causeway_tests::daemon::leg::{Leg, arrives, udp};
use causeway_tests::daemon::talker::{Talker, channel_data};

const EVERY: [Transport; 4] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls];
const SIZES: [usize; 9] = [0, 1, 2, 3, 160, 1200, 9000, 16_000, 65_400];
const LOOPBACK: &str = r#""allow 127.0.0.0/8""#;
const CHANNEL: u16 = 0x4003;
const WITHIN: &str = "turnd_relayed_in_memory_total{from=\"same_worker\"}";
const SENT: &str = "turnd_datagrams_sent_total";
const ACROSS: &str = "turnd_relayed_in_memory_total{from=\"other_worker\"}";

/// How a client wraps its data, and how the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapped {
    Channel,
    Indication,
}

#[test]
fn h8_between_clients_of_one_worker_all_arrives_as_through_the_kernel() {
    as_through_the_kernel(1);
}

#[test]
fn h8_between_clients_of_four_workers_all_arrives_as_through_the_kernel() {
    as_through_the_kernel(4);
}

/// Sends over every transport to every other: each datagram once through `turnd`'s memory, and once
/// through the kernel, between two servers.
fn as_through_the_kernel(workers: usize) {
    let memory = workers_of(workers);
    let [one, other] = [workers_of(1), workers_of(1)];
    let mut sent = 0;
    for (from, to) in pairs() {
        for wrapped in [
            (Wrapped::Channel, Wrapped::Channel),
            (Wrapped::Channel, Wrapped::Indication),
            (Wrapped::Indication, Wrapped::Channel),
        ] {
            let mut within = Pair::new([&memory, &memory], (from, to), wrapped);
            let mut beyond = Pair::new([&one, &other], (from, to), wrapped);
            for len in SIZES.into_iter().filter(|len| *len <= longest(from).min(longest(to))) {
                let data: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
                let [ours, theirs] = [&mut within, &mut beyond].map(|pair| pair.carry(&data));
                assert_eq!(ours, theirs, "{len} bytes from {from:?} to {to:?}, {wrapped:?}");
                sent += 1;
            }
            within.end();
            beyond.end();
        }
    }
    let came = (memory.metric(WITHIN), memory.metric(ACROSS));
    assert_eq!(came.0 + came.1, sent, "some went through the kernel");
    assert!(came.0 > 0 && (came.1 > 0) == (workers > 1), "{came:?}");
    assert_eq!(one.metric(WITHIN) + other.metric(WITHIN), 0);
    assert_eq!(memory.metric("turnd_crossing_lost_total"), 0);
    let packets = |direction: &str| -> u64 {
        let of = |transport| {
            memory.metric(&format!(
                "turnd_relayed_packets_total{{direction=\"{direction}\",transport=\"{transport}\"}}"
            ))
        };
        ["udp", "tcp", "tls", "dtls"].into_iter().map(of).sum()
    };
    assert_eq!((packets("to_peer"), packets("to_client")), (sent, sent), "both sides count");
}

#[test]
fn rfc8656_14_dscp_and_ecn_go_along_between_datagrams_only() {
    for workers in [1, 4] {
        let turnd = workers_of(workers);
        for from in EVERY {
            let mut pair = Pair::new(
                [&turnd, &turnd],
                (from, Transport::Udp),
                (Wrapped::Channel, Wrapped::Channel),
            );
            let Leg::Udp(receiver) = &pair.receiver.link else {
                unreachable!("the receiver uses UDP")
            };
            let receiver = receiver.try_clone().unwrap();
            setsockopt(&receiver, sockopt::IpRecvTos, &true).unwrap();
            for tos in [0xB8, 0x03, 0] {
                match &pair.sender.link {
                    Leg::Udp(socket) => {
                        setsockopt(socket, sockopt::Ipv4Tos, &i32::from(tos)).unwrap();
                    }
                    Leg::Dtls(stream) => {
                        setsockopt(&stream.get_ref().0, sockopt::Ipv4Tos, &i32::from(tos)).unwrap();
                    }
                    Leg::Tcp(_) | Leg::Tls(_) => {}
                }
                pair.sender.send_channel(CHANNEL, b"marked");
                let expected =
                    if matches!(from, Transport::Udp | Transport::Dtls) { tos } else { 0 };
                assert_eq!(
                    arrives_marked(&receiver),
                    (channel_data(CHANNEL, b"marked", Transport::Udp), expected),
                    "from {from:?}"
                );
            }
            pair.end();
        }
        assert_eq!(turnd.metric(WITHIN) + turnd.metric(ACROSS), 12);
    }
}

#[test]
fn h8_bursts_keep_their_order() {
    for workers in [1, 4] {
        let turnd = workers_of(workers);
        for (from, to) in pairs() {
            let mut pair =
                Pair::new([&turnd, &turnd], (from, to), (Wrapped::Channel, Wrapped::Channel));
            for lens in
                [[160; 40], [1200; 40]].into_iter().chain([std::array::from_fn(|at| at * 29)])
            {
                let burst = (0u8..).zip(lens).map(|(number, len)| vec![number; len + 1]);
                burst.clone().for_each(|data| pair.sender.send_channel(CHANNEL, &data));
                for data in burst {
                    assert_eq!(
                        pair.receiver.link.receive(),
                        Some(channel_data(CHANNEL, &data, to)),
                        "{from:?} to {to:?}"
                    );
                }
            }
            pair.end();
        }
    }
}

#[test]
fn h8_nothing_arrives_without_the_permission_of_both() {
    for workers in [1, 4] {
        let turnd = workers_of(workers);
        for (from, to) in pairs() {
            let (mut sender, mut receiver) = (turnd.talker(from), turnd.talker(to));
            let (ours, theirs) = (sender.allocate(), receiver.allocate());
            let refused = "turnd_discarded_total{cause=\"no_permission\"}";
            let before = turnd.metric(refused);
            assert_eq!(receiver.permit(ours), None);
            sender.send(theirs, b"the sender has none");
            turnd.until_metric(refused, before + 1);
            receiver.heard_nothing();
            release(&mut receiver);
            let theirs = receiver.allocate();
            assert_eq!(sender.bind(CHANNEL, theirs), None);
            sender.send_channel(CHANNEL, b"the receiver has none");
            sender.send(theirs, b"nor by an indication");
            turnd.until_metric(refused, before + 3);
            receiver.heard_nothing();
            assert_eq!(receiver.permit(ours), None);
            sender.send_channel(CHANNEL, b"both have");
            assert_eq!(receiver.data_arrive(), (ours, b"both have".to_vec()));
            [sender, receiver].iter_mut().for_each(release);
        }
    }
}

#[test]
fn h8_behind_a_nat_the_advertised_address_is_another_client() {
    let turnd = behind_nat(LOOPBACK);
    for (from, to) in pairs() {
        let (mut sender, mut receiver) = (turnd.talker(from), turnd.talker(to));
        let (ours, theirs) = (sender.allocate(), receiver.allocate());
        assert_eq!(
            (ours.ip(), theirs.ip()),
            ("192.0.2.7".parse().unwrap(), "192.0.2.7".parse().unwrap())
        );
        assert_eq!((sender.bind(CHANNEL, theirs), receiver.permit(ours)), (None, None));
        sender.send_channel(CHANNEL, b"past the NAT");
        assert_eq!(receiver.data_arrive(), (ours, b"past the NAT".to_vec()));
        // The inner address is judged by the rules, and the kernel carries the data sent there.
        assert_eq!(
            (sender.bind(CHANNEL + 1, inner(theirs)), receiver.permit(inner(ours))),
            (None, None)
        );
        sender.send_channel(CHANNEL + 1, b"before the NAT");
        assert_eq!(receiver.data_arrive(), (inner(ours), b"before the NAT".to_vec()));
        [sender, receiver].iter_mut().for_each(release);
    }
    assert_eq!(turnd.metric(WITHIN) + turnd.metric(ACROSS), 16);
    let closed = behind_nat("");
    let mut talker = closed.talker(Transport::Udp);
    let relayed = talker.allocate();
    assert_eq!(
        (talker.bind(CHANNEL, inner(relayed)), talker.bind(CHANNEL, relayed)),
        (Some(403), None)
    );
}

#[test]
fn h8_data_for_a_port_that_relays_nothing_never_reach_the_kernel() {
    let turnd = behind_nat("");
    let unheld = "turnd_discarded_total{cause=\"not_relayed\"}";
    for (from, to) in pairs() {
        let (mut sender, mut receiver) = (turnd.talker(from), turnd.talker(to));
        let (ours, theirs) = (sender.allocate(), receiver.allocate());
        assert_eq!((sender.bind(CHANNEL, theirs), receiver.bind(CHANNEL, ours)), (None, None));
        sender.send_channel(CHANNEL, b"held");
        assert_eq!(receiver.link.receive(), Some(channel_data(CHANNEL, b"held", to)));
        release(&mut receiver);
        let program = bind_again(theirs.port());
        let before = (turnd.metric(unheld), turnd.metric(SENT));
        sender.send_channel(CHANNEL, b"by a channel");
        sender.send(theirs, b"by an indication");
        turnd.until_metric(unheld, before.0 + 2);
        assert_eq!(turnd.metric(SENT), before.1);
        program.set_nonblocking(true).unwrap();
        assert!(program.recv(&mut [0; 100]).is_err());
        // A channel to it can still be bound: another client may get the port later.
        assert_eq!(sender.bind(CHANNEL, theirs), None);
        receiver.heard_nothing();
        release(&mut sender);
    }
}

#[test]
fn h8_a_flood_that_is_not_read_stalls_no_client() {
    let turnd = workers_of(4);
    for (from, to) in [
        (Transport::Tcp, Transport::Tcp),
        (Transport::Tcp, Transport::Udp),
        (Transport::Tls, Transport::Tls),
    ] {
        let pairs: Vec<_> = (0..5)
            .map(|_| Pair::new([&turnd, &turnd], (from, to), (Wrapped::Channel, Wrapped::Channel)))
            .collect();
        for mut pair in pairs {
            for _ in 0..100 {
                pair.sender.send_channel(CHANNEL, &[7; 60_000]);
            }
            pair.sender.heard_nothing();
            release(&mut pair.sender);
            let (peer, mut other) = (udp(), turnd.talker(to));
            let relayed = other.allocate();
            other.permit(peer.local_addr().unwrap());
            other.send(peer.local_addr().unwrap(), b"as ever");
            assert_eq!(arrives(&peer), (b"as ever".to_vec(), relayed));
            release(&mut other);
        }
    }
}

/// Two clients, of which one may send to the other.
struct Pair {
    sender: Talker,
    receiver: Talker,
    ours: SocketAddr,
    theirs: SocketAddr,
    wrapped: (Wrapped, Wrapped),
}

impl Pair {
    fn new(
        turnds: [&Turnd; 2],
        (from, to): (Transport, Transport),
        wrapped: (Wrapped, Wrapped),
    ) -> Self {
        let mut sender = turnds[0].talker(from);
        let mut receiver = turnds[1].talker(to);
        let (ours, theirs) = (sender.allocate(), receiver.allocate());
        for (talker, peer, wrapped) in
            [(&mut sender, theirs, wrapped.0), (&mut receiver, ours, wrapped.1)]
        {
            let refused = match wrapped {
                Wrapped::Channel => talker.bind(CHANNEL, peer),
                Wrapped::Indication => talker.permit(peer),
            };
            assert_eq!(refused, None);
        }
        Self { sender, receiver, ours, theirs, wrapped }
    }

    /// Sends these data; the message that the receiver gets, without the transaction id and the
    /// sender's port, which differ each time.
    fn carry(&mut self, data: &[u8]) -> Vec<u8> {
        match self.wrapped.0 {
            Wrapped::Channel => self.sender.send_channel(CHANNEL, data),
            Wrapped::Indication => self.sender.send(self.theirs, data),
        }
        let mut bytes = self.receiver.link.receive().expect("the connection stands");
        if self.wrapped.1 == Wrapped::Indication {
            let message = Message::decode(&bytes).unwrap();
            assert_eq!(message.attribute(), Ok(Some(XorPeerAddress(self.ours))));
            bytes[8..20].fill(0);
            bytes[26..28].fill(0);
        }
        bytes
    }

    fn end(mut self) {
        release(&mut self.sender);
        release(&mut self.receiver);
    }
}

fn pairs() -> impl Iterator<Item = (Transport, Transport)> {
    EVERY.into_iter().flat_map(|from| EVERY.into_iter().map(move |to| (from, to)))
}

fn workers_of(workers: usize) -> Turnd {
    turnd::turnd_with(LOOPBACK, &format!("[net]\nworkers = {workers}\n"))
}

/// A `turnd` whose advertised address is another one, which no packet here reaches.
fn behind_nat(peers: &str) -> Turnd {
    turnd::turnd_relaying_from("[\"127.0.0.1\"]\nexternal = \"192.0.2.7\"", peers, 2)
}

/// The bound address behind an advertised one.
fn inner(outer: SocketAddr) -> SocketAddr {
    ([127, 0, 0, 1], outer.port()).into()
}

/// The longest data for one message. A DTLS record holds 2^14 bytes, with the message's header.
fn longest(transport: Transport) -> usize {
    if transport == Transport::Dtls { 16_000 } else { 65_400 }
}

fn release(talker: &mut Talker) {
    assert_eq!(talker.refresh(0), None);
}

/// The next datagram, with its DSCP and ECN.
fn arrives_marked(socket: &UdpSocket) -> (Vec<u8>, u8) {
    let (mut bytes, mut control) = (vec![0; 2000], nix::cmsg_space!(u8));
    let (len, tos) = {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg::<SockaddrIn>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        )
        .expect("a datagram in time");
        let tos = received.cmsgs().expect("there was room").find_map(|message| match message {
            ControlMessageOwned::Ipv4Tos(tos) => Some(tos),
            _ => None,
        });
        (received.bytes, tos.expect("the socket reports it"))
    };
    bytes.truncate(len);
    (bytes, tos)
}

/// Binds a port that was a relayed one, as another program would.
fn bind_again(port: u16) -> UdpSocket {
    let bound = (0..100).find_map(|_| {
        UdpSocket::bind(("127.0.0.1", port))
            .inspect_err(|_| std::thread::sleep(Duration::from_millis(5)))
            .ok()
    });
    bound.expect("the port is free again")
}
