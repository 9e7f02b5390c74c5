//! H46: a peer is permitted as long as the client has a channel to it, unless the configuration
//! demands the letter of RFC 8656.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_relay::{ChannelPermission, Command, Discard, IcmpNotice, Transport};
use causeway_tests::addresses::{client, peer, peer_v6};
use causeway_tests::{Client, Lab, Reaction, deny};
use causeway_wire::Method;
use causeway_wire::attribute::{AddressFamily, Lifetime, RequestedTransport};

const MODES: [ChannelPermission; 2] = [ChannelPermission::WithChannel, ChannelPermission::Rfc8656];
const UNREACHABLE: IcmpNotice = IcmpNotice { kind: 3, code: 3, data: 0 };

/// The directions that are open between a client and a peer, with or without a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    send: bool,
    /// Whether data from the peer arrive on the channel.
    on_channel: bool,
    /// Whether data from the peer arrive in a Data indication.
    in_indication: bool,
    icmp: bool,
}

const ON_CHANNEL: Open = Open { send: true, on_channel: true, in_indication: false, icmp: true };
const WITHOUT_CHANNEL: Open =
    Open { send: true, on_channel: false, in_indication: true, icmp: true };
const SHUT: Open = Open { send: false, on_channel: false, in_indication: false, icmp: false };

fn open(lab: &mut Lab, client: &mut Client, relayed: SocketAddr, peer: SocketAddr) -> Open {
    let received = lab.peer_sends(peer, relayed, b"x").expect("the relayed address is bound");
    let first = received.to_client().map(|bytes| bytes[0]);
    let notice = IcmpNotice { kind: if peer.is_ipv4() { 3 } else { 1 }, ..UNREACHABLE };
    let open = Open {
        send: client.send(lab, peer, b"x").to_peer().is_some(),
        on_channel: first.is_some_and(|first| first & 0xC0 == 0x40),
        in_indication: first == Some(0),
        icmp: lab.icmp_arrives(relayed, peer, notice).notice().is_some(),
    };
    assert!(
        first.is_some() || received == Reaction::Silence(Discard::NoPermission),
        "{received:?}"
    );
    open
}

#[test]
fn h46_each_way_to_the_channels_peer_stays_open_as_long_as_the_channel() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls] {
        let (mut lab, mut client) = (Lab::default(), Client::at(client(1, 1), transport));
        let relayed = client.allocate(&mut lab);
        client.refresh(&mut lab, 3600);
        client.bind(&mut lab, 0x4000, peer(1, 1));
        lab.pass_unnoticed(Duration::from_nanos(299_999_999_999));
        assert_eq!(open(&mut lab, &mut client, relayed, peer(1, 1)), ON_CHANNEL);
        assert_eq!(
            open(&mut lab, &mut client, relayed, peer(1, 2)),
            WITHOUT_CHANNEL,
            "the address has a permission"
        );
        for second in [300, 301, 340, 599] {
            lab.pass(Duration::from_secs(second) - lab.now().monotonic);
            assert_eq!(
                open(&mut lab, &mut client, relayed, peer(1, 1)),
                ON_CHANNEL,
                "{transport:?} after {second} s"
            );
            assert_eq!(
                open(&mut lab, &mut client, relayed, peer(1, 2)),
                SHUT,
                "{transport:?}: another port after {second} s"
            );
            assert_eq!(open(&mut lab, &mut client, relayed, peer(2, 1)), SHUT, "another address");
            assert_eq!(
                client.send_channel(&mut lab, 0x4000, b"x").to_peer(),
                Some((relayed, peer(1, 1), &b"x"[..]))
            );
        }
        lab.pass_seconds(1);
        assert_eq!(
            open(&mut lab, &mut client, relayed, peer(1, 1)),
            SHUT,
            "{transport:?}: the channel has ended"
        );
        assert_eq!(client.send_channel(&mut lab, 0x4000, b"x").silence(), Some(Discard::NoChannel));
    }
}

#[test]
fn h46_the_same_holds_for_many_peers_and_either_family() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    let (relayed, relayed_v6) = client.allocate_both(&mut lab);
    client.refresh(&mut lab, 3600);
    let peers: Vec<SocketAddr> =
        (1..=20).map(|host| peer(host, 7)).chain((1..=20).map(|host| peer_v6(host, 7))).collect();
    for (number, peer) in (0x4000..).zip(&peers) {
        assert_eq!(client.bind(&mut lab, number, *peer), None);
    }
    lab.pass_seconds(400);
    for peer in &peers {
        let relayed = if peer.is_ipv4() { relayed } else { relayed_v6 };
        assert_eq!(open(&mut lab, &mut client, relayed, *peer), ON_CHANNEL);
        let other = SocketAddr::new(peer.ip(), 8);
        assert_eq!(open(&mut lab, &mut client, relayed, other), SHUT);
    }
    assert_eq!(
        (lab.server.gauges().permissions, lab.server.gauges().channels),
        (0, 40),
        "no permission of the address is left"
    );
    lab.pass_seconds(200);
    assert!(peers.iter().all(|peer| client.send(&mut lab, *peer, b"x").silence().is_some()));
}

#[test]
fn h46_in_the_letter_of_rfc_8656_the_permission_ends_after_300_seconds() {
    let mut lab = letter();
    let mut client = Client::udp(1);
    let relayed = client.allocate(&mut lab);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    lab.pass_seconds(299);
    assert_eq!(open(&mut lab, &mut client, relayed, peer(1, 1)), ON_CHANNEL);
    lab.pass_seconds(1);
    assert_eq!(open(&mut lab, &mut client, relayed, peer(1, 1)), SHUT);
    // RFC 8656 §12.6 has the server ask for a channel only.
    assert!(client.send_channel(&mut lab, 0x4000, b"x").to_peer().is_some());
}

#[test]
fn h46_between_two_relayed_addresses_of_one_server() {
    for mode in MODES {
        let mut lab = Lab::with(|setup| setup.channel_permission = mode);
        let mut clients = [Client::udp(1), Client::tcp(2)];
        let relayed = [clients[0].allocate(&mut lab), clients[1].allocate(&mut lab)];
        clients[0].bind(&mut lab, 0x4000, relayed[1]);
        clients[1].bind(&mut lab, 0x4001, relayed[0]);
        lab.pass_seconds(340);
        for (from, number) in [(0, 0x4000), (1, 0x4001)] {
            let (sent, to, data) = match clients[from].send_channel(&mut lab, number, b"hello") {
                Reaction::ToPeer { from, to, data, .. } => (from, to, data),
                other => panic!("{other:?}"),
            };
            let received = lab.peer_sends(sent, to, &data).unwrap();
            let first = received.to_client().map(|bytes| bytes[0] & 0xC0);
            assert_eq!(
                first,
                (mode == ChannelPermission::WithChannel).then_some(0x40),
                "{mode:?}: {received:?}"
            );
        }
    }
}

#[test]
fn h46_after_a_restore_the_channel_permits_as_before() {
    for mode in MODES {
        let mut lab = Lab::with(|setup| setup.channel_permission = mode);
        let mut client = Client::udp(1);
        let relayed = client.allocate(&mut lab);
        client.refresh(&mut lab, 3600);
        client.bind(&mut lab, 0x4000, peer(1, 1));
        client.bind(&mut lab, 0x4001, peer(2, 1));
        for (second, is_open) in [
            (250, true),
            (310, mode == ChannelPermission::WithChannel),
            (599, mode == ChannelPermission::WithChannel),
        ] {
            lab.pass(Duration::from_secs(second) - Duration::from_secs(lab.unix() - 1_800_000_000));
            lab = lab.succeed();
            let expected = if is_open { ON_CHANNEL } else { SHUT };
            assert_eq!(
                open(&mut lab, &mut client, relayed, peer(1, 1)),
                expected,
                "{mode:?} at {second} s"
            );
            let other_port = if second < 300 { WITHOUT_CHANNEL } else { SHUT };
            assert_eq!(
                open(&mut lab, &mut client, relayed, peer(1, 2)),
                other_port,
                "{mode:?} at {second} s"
            );
        }
        lab.pass_seconds(1);
        lab = lab.succeed();
        assert_eq!(open(&mut lab, &mut client, relayed, peer(1, 1)), SHUT, "{mode:?}");
    }
}

#[test]
fn h46_a_policy_that_refuses_the_peer_takes_the_channel_with_its_permission() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    lab.pass_seconds(340);
    let stricter = Lab::with(|setup| setup.rules = vec![deny("20.0.0.1/32")]).setup.policy();
    lab.command(Command::SetPolicy(stricter));
    assert_eq!(open(&mut lab, &mut client, relayed, peer(1, 1)), SHUT);
    assert!(client.send_channel(&mut lab, 0x4000, b"x").silence().is_some());
}

#[test]
fn h46_the_channel_of_one_family_ends_with_its_relayed_address() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let (relayed, relayed_v6) = client.allocate_both(&mut lab);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    client.bind(&mut lab, 0x4001, peer_v6(1, 1));
    lab.pass_seconds(340);
    assert_eq!(open(&mut lab, &mut client, relayed_v6, peer_v6(1, 1)), ON_CHANNEL);
    client.refresh_one(&mut lab, AddressFamily::Ipv6, 0);
    assert!(client.send(&mut lab, peer_v6(1, 1), b"x").silence().is_some());
    assert_eq!(open(&mut lab, &mut client, relayed, peer(1, 1)), ON_CHANNEL);
}

/// How often a WebRTC client refreshes a call, in seconds.
struct Habits {
    name: &'static str,
    /// LIFETIME of its Allocate and Refresh requests.
    lifetime: Option<u32>,
    refresh: u64,
    bind: u64,
    permit: Option<u64>,
}

/// As seen on the wire (docs/clients.md).
const HABITS: [Habits; 6] = [
    Habits { name: "aiortc", lifetime: Some(600), refresh: 500, bind: 500, permit: None },
    Habits { name: "werift", lifetime: Some(600), refresh: 500, bind: 500, permit: None },
    // It renews a channel 0.4 s after the permission has ended.
    Habits { name: "libjuice", lifetime: Some(600), refresh: 540, bind: 301, permit: None },
    Habits { name: "libre", lifetime: Some(600), refresh: 450, bind: 250, permit: None },
    Habits { name: "libwebrtc", lifetime: None, refresh: 540, bind: 240, permit: None },
    Habits { name: "libnice", lifetime: None, refresh: 540, bind: 540, permit: Some(240) },
];

#[test]
fn h46_calls_of_half_an_hour_live_by_the_habits_of_real_clients() {
    for Habits { name, lifetime, refresh, bind, permit } in HABITS {
        let mut lab = Lab::default();
        let mut ends = [Client::udp(1), Client::udp(2)];
        let relayed = ends.each_mut().map(|client| allocate(&mut lab, client, lifetime));
        let due = |every: u64, second: u64| second.is_multiple_of(every);
        for second in 0..1800 {
            for at in 0..2 {
                let (client, other) = (&mut ends[at], relayed[1 - at]);
                if due(bind, second) {
                    assert_eq!(client.bind(&mut lab, 0x4000, other), None, "{name} at {second} s");
                }
                if permit.is_some_and(|permit| due(permit, second)) {
                    assert_eq!(client.permit(&mut lab, &[other]), None, "{name} at {second} s");
                }
                if second > 0 && due(refresh, second) {
                    let answer = match lifetime {
                        Some(lifetime) => client.refresh(&mut lab, lifetime),
                        None => client.ask(&mut lab, Method::REFRESH, &|_| Ok(())).answer(),
                    };
                    assert_eq!(answer.error(), None, "{name} at {second} s");
                }
            }
            for at in 0..2 {
                if second == 0 {
                    continue;
                }
                let sent = ends[at].send_channel(&mut lab, 0x4000, b"x");
                assert_eq!(
                    sent.to_peer(),
                    Some((relayed[at], relayed[1 - at], &b"x"[..])),
                    "{name} at {second} s"
                );
                let received = lab.peer_sends(relayed[at], relayed[1 - at], b"x").unwrap();
                assert_eq!(
                    received.to_client(),
                    Some(&b"\x40\0\0\x01x"[..]),
                    "{name} at {second} s"
                );
            }
            lab.pass_seconds(1);
        }
    }
}

#[test]
fn h46_by_the_letter_the_calls_of_aiortc_and_werift_end() {
    let mut lab = letter();
    let mut client = Client::udp(1);
    let relayed = allocate(&mut lab, &mut client, Some(600));
    client.bind(&mut lab, 0x4000, peer(1, 1));
    lab.pass_seconds(340);
    assert_eq!(
        lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().silence(),
        Some(Discard::NoPermission)
    );
}

fn letter() -> Lab {
    Lab::with(|setup| setup.channel_permission = ChannelPermission::Rfc8656)
}

fn allocate(lab: &mut Lab, client: &mut Client, lifetime: Option<u32>) -> SocketAddr {
    let answer = client.ask(lab, Method::ALLOCATE, &|w| {
        w.put(&RequestedTransport::UDP)?;
        lifetime.map_or(Ok(()), |lifetime| w.put(&Lifetime(lifetime)).map(drop))
    });
    answer.answer().relayed().expect("a success")
}
