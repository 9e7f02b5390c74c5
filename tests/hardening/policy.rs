//! Rows of the peers that clients can reach, by CreatePermission, ChannelBind and Send alike.

use std::net::SocketAddr;

use causeway_relay::{Command, Discard, IcmpNotice, Rule, Transport};
use causeway_tests::addresses::{LISTENER, LISTENER_V6, RELAY, RELAY_BOUND, RELAY_V6, peer};
use causeway_tests::{Client, Fill, Lab, Reaction, Setup, allow, deny};
use causeway_wire::Method;
use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressFamily, Data, RequestedAddressFamily, RequestedTransport,
    XorPeerAddress,
};
use causeway_wire::{Class, MessageWriter};

#[test]
fn h1_an_ipv4_mapped_peer_is_443_for_either_family() {
    for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
        for peer in ["[::ffff:20.0.0.1]:1", "[::ffff:127.0.0.1]:1", "[::ffff:10.0.0.1]:1"] {
            let (mut lab, mut client) = allocated(&[], family);
            let peer = at(peer);
            assert_eq!(
                (client.permit(&mut lab, &[peer]), client.bind(&mut lab, 0x4000, peer)),
                (Some(443), Some(443)),
                "{peer}"
            );
            assert_eq!(client.send(&mut lab, peer, b"x"), Reaction::Silence(Discard::PeerFamily));
        }
    }
}

#[test]
fn h1_a_mapped_address_is_not_the_peer_of_ipv4_that_it_carries() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let both: Fill<'_> = &|w| {
        w.put(&RequestedTransport::UDP)?
            .put(&AdditionalAddressFamily(AddressFamily::Ipv6))
            .map(drop)
    };
    let answer = client.ask(&mut lab, Method::ALLOCATE, both).answer();
    assert_eq!(client.bind(&mut lab, 0x4000, at("20.0.0.1:1")), None);
    let mapped = at("[::ffff:20.0.0.1]:1");
    assert_eq!(answer.all_relayed().len(), 2);
    for relayed in answer.all_relayed() {
        assert!(lab.peer_sends(mapped, relayed, b"x").unwrap().silence().is_some(), "{relayed}");
        let notice = IcmpNotice { kind: 3, code: 1, data: 0 };
        assert!(lab.icmp_arrives(relayed, mapped, notice).silence().is_some(), "{relayed}");
    }
}

#[test]
fn h1_an_address_is_refused_for_what_it_carries() {
    let denied = [
        "[64:ff9b::10.1.2.3]:1",
        "[64:ff9b::127.0.0.1]:1",
        "[64:ff9b::169.254.169.254]:1",
        "[::10.1.2.3]:1",
        "[::127.0.0.1]:1",
        "[64:ff9b::20.0.0.66]:1",
    ];
    let (mut lab, mut client) = allocated(&[deny("20.0.0.66/32")], AddressFamily::Ipv6);
    for peer in denied {
        refused(&mut lab, &mut client, at(peer));
    }
    reached(&mut lab, &mut client, at("[64:ff9b::20.0.0.1]:1"));
}

#[test]
fn h1_6to4_and_teredo_are_refused_whatever_the_rules_say() {
    let (mut lab, mut client) = allocated(
        &[allow("2000::/3"), allow("2002::/16"), allow("2001::/32")],
        AddressFamily::Ipv6,
    );
    for tunnel in ["[2002:1400:1::1]:1", "[2001:0:1::1]:1"] {
        refused(&mut lab, &mut client, at(tunnel));
    }
}

#[test]
fn h1_a_client_behind_a_tunnel_neither_allocates_nor_binds_a_channel() {
    let (lab, client) = allocated(&[], AddressFamily::Ipv4);
    let mut record =
        lab.server.export(lab.now(), lab.server.allocation(&client.five_tuple).unwrap()).unwrap();
    let mut tunnelled = Client::at(at("[2002:1400:1::1]:1"), Transport::Udp);
    let mut next = Lab::default();
    let answer = tunnelled
        .ask(&mut next, Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop))
        .answer();
    assert_eq!(answer.error(), Some(403));
    // Such a client can only have an allocation that another server made.
    record.five_tuple = tunnelled.five_tuple;
    assert!(next.server.adopt(next.now(), &record).is_some());
    next.time_out();
    assert_eq!(tunnelled.bind(&mut next, 0x4000, peer(1, 1)), Some(403));
    assert_eq!(next.server.gauges().channels, 0);
}

#[test]
fn h2_loopback_and_this_network_are_no_peers_under_any_wide_rule() {
    for wide in ["0.0.0.0/0", "0.0.0.0/1", "64.0.0.0/2", "126.0.0.0/7"] {
        let (mut lab, mut client) = allocated(&[allow(wide)], AddressFamily::Ipv4);
        for local in ["127.0.0.1:1", "127.255.255.254:1", "0.0.0.0:1", "0.1.2.3:1"] {
            refused(&mut lab, &mut client, at(local));
        }
    }
    for wide in ["::/0", "::/1", "::/64", "::/126"] {
        let (mut lab, mut client) = allocated(&[allow(wide)], AddressFamily::Ipv6);
        for local in ["[::]:1", "[::1]:1"] {
            refused(&mut lab, &mut client, at(local));
        }
    }
    let (mut lab, mut client) = allocated(&[allow("127.0.0.0/8")], AddressFamily::Ipv4);
    reached(&mut lab, &mut client, at("127.0.0.1:1"));
}

#[test]
fn h3_permission_channel_and_send_judge_alike() {
    for range in causeway_wire::SPECIAL_PURPOSE {
        let (ip, _) = range.network.split_once('/').unwrap();
        let ip: std::net::IpAddr = ip.parse().unwrap();
        let (mut lab, mut client) = allocated(&[], AddressFamily::of(&ip));
        refused(&mut lab, &mut client, SocketAddr::new(ip, 5000));
    }
}

#[test]
fn h3_a_new_policy_revokes_permissions_and_channels_that_live() {
    let (mut lab, mut client) = allocated(&[], AddressFamily::Ipv4);
    let relayed = lab.pool.advertised(causeway_relay::RelayId {
        allocation: lab.server.allocation(&client.five_tuple).unwrap(),
        index: 0,
    });
    client.permit(&mut lab, &[peer(1, 1), peer(2, 2), peer(3, 3)]);
    client.bind(&mut lab, 0x4001, peer(1, 1));
    client.bind(&mut lab, 0x4002, peer(2, 2));
    let stricter =
        Setup::with(|setup| setup.rules = vec![deny("20.0.0.1/32"), deny("20.0.0.3/32")]);
    lab.command(Command::SetPolicy(stricter.policy()));
    assert_eq!((lab.server.gauges().permissions, lab.server.gauges().channels), (1, 1));
    for (host, number) in [(1, 0x4001), (3, 0x4003)] {
        let gone = peer(host, u16::from(host));
        assert_eq!(
            client.send_channel(&mut lab, number, b"x"),
            Reaction::Silence(Discard::NoChannel)
        );
        assert_eq!(client.send(&mut lab, gone, b"x"), Reaction::Silence(Discard::NoPermission));
        assert_eq!(
            lab.peer_sends(gone, relayed, b"x"),
            Some(Reaction::Silence(Discard::NoPermission))
        );
        assert_eq!(
            (client.permit(&mut lab, &[gone]), client.bind(&mut lab, number, gone)),
            (Some(403), Some(403))
        );
    }
    assert!(client.send_channel(&mut lab, 0x4002, b"x").to_peer().is_some());
    assert!(lab.peer_sends(peer(2, 2), relayed, b"x").unwrap().to_client().is_some());
    lab.command(Command::SetPolicy(Setup::default().policy()));
    assert_eq!(client.permit(&mut lab, &[peer(1, 1)]), None, "and after a change back");
}

#[test]
fn h4_the_ends_of_a_range_are_in_it_and_their_neighbours_are_not() {
    let (mut lab, mut client) = allocated(&[deny("20.0.255.0/23")], AddressFamily::Ipv4);
    for inside in ["20.0.254.0:1", "20.0.255.255:1"] {
        refused(&mut lab, &mut client, at(inside));
    }
    for (number, outside) in (0x4000..).zip(["20.0.253.255:1", "20.1.0.0:1", "20.1.254.1:1"]) {
        assert_eq!(client.bind(&mut lab, number, at(outside)), None, "{outside}");
    }
}

#[test]
fn h5_the_servers_own_listeners_are_no_peers() {
    let (mut lab, mut client) = allocated(&[allow("9.9.9.9/32")], AddressFamily::Ipv4);
    unreachable(&mut lab, &mut client, LISTENER);
    let (mut lab, mut client) = allocated(&[], AddressFamily::Ipv6);
    unreachable(&mut lab, &mut client, LISTENER_V6);
    unreachable(&mut lab, &mut client, at("[64:ff9b::9.9.9.9]:3478"));
}

#[test]
fn h6_of_two_peers_in_a_send_indication_the_first_is_checked_and_used() {
    let (mut lab, mut client) = allocated(&[], AddressFamily::Ipv4);
    client.permit(&mut lab, &[peer(1, 1)]);
    for (first, second, sent) in [
        (peer(1, 1), at("127.0.0.1:1"), true),
        (at("127.0.0.1:1"), peer(1, 1), false),
        (peer(2, 2), peer(1, 1), false),
    ] {
        let mut bytes = [0; 128];
        let mut writer = MessageWriter::new(
            &mut bytes,
            Class::Indication,
            Method::SEND,
            client.next_transaction(),
        )
        .unwrap();
        writer
            .put(&XorPeerAddress(first))
            .unwrap()
            .put(&XorPeerAddress(second))
            .unwrap()
            .put(&Data(b"x"))
            .unwrap();
        let len = writer.finish();
        let reaction = lab.client_sends(&client.five_tuple, &bytes[..len]);
        assert_eq!(reaction.to_peer().map(|(_, to, _)| to), sent.then_some(first));
    }
}

#[test]
fn h6_of_two_peers_in_a_channel_bind_the_first_is_checked_and_used() {
    let (mut lab, mut client) = allocated(&[], AddressFamily::Ipv4);
    let mut bind = |number, first: SocketAddr, second: SocketAddr| {
        let answer = client.ask(&mut lab, Method::CHANNEL_BIND, &|w| {
            w.put(&causeway_wire::attribute::ChannelNumberAttribute(number))?;
            w.put(&XorPeerAddress(first))?.put(&XorPeerAddress(second)).map(drop)
        });
        answer.answer().error()
    };
    assert_eq!(bind(0x4000, at("127.0.0.1:1"), peer(1, 1)), Some(403));
    assert_eq!(bind(0x4001, peer(1, 1), at("127.0.0.1:1")), None);
    assert_eq!(
        client.send_channel(&mut lab, 0x4001, b"x").to_peer().map(|(_, to, _)| to),
        Some(peer(1, 1))
    );
    assert_eq!(
        client.send(&mut lab, at("127.0.0.1:1"), b"x"),
        Reaction::Silence(Discard::NoPermission)
    );
}

#[test]
fn h6_one_refused_peer_refuses_the_whole_create_permission() {
    let (mut lab, mut client) = allocated(&[], AddressFamily::Ipv4);
    for position in 0..4 {
        let mut peers: Vec<_> = (1..=3).map(|host| peer(host, 1)).collect();
        peers.insert(position, at("192.168.1.1:1"));
        assert_eq!(client.permit(&mut lab, &peers), Some(403));
        assert_eq!(lab.server.gauges().permissions, 0);
    }
}

#[test]
fn h7_port_zero_is_refused_where_a_port_matters() {
    let (mut lab, mut client) = allocated(&[], AddressFamily::Ipv4);
    assert_eq!(client.permit(&mut lab, &[peer(1, 0)]), None, "a permission has no port");
    assert_eq!(client.bind(&mut lab, 0x4000, peer(1, 0)), Some(403));
    assert_eq!(client.send(&mut lab, peer(1, 0), b"x"), Reaction::Silence(Discard::PeerDenied));
}

#[test]
fn h8_two_relayed_clients_of_one_server_reach_each_other() {
    let mut lab = Lab::default();
    let (mut a, mut b) = (Client::udp(1), Client::tcp(2));
    let (relayed_a, relayed_b) = (a.allocate(&mut lab), b.allocate(&mut lab));
    assert_eq!(
        (a.permit(&mut lab, &[relayed_b]), b.bind(&mut lab, 0x4000, relayed_a)),
        (None, None)
    );
    let Reaction::ToPeer { from, to, data, .. } = a.send(&mut lab, relayed_b, b"hello") else {
        panic!("not sent")
    };
    assert_eq!((from, to), (relayed_a, relayed_b));
    let reaction = lab.peer_sends(from, to, &data).unwrap();
    assert_eq!(reaction.to_client(), Some(&b"\x40\x00\x00\x05hello\0\0\0"[..]));
}

#[test]
fn h8_nothing_else_at_a_relay_address_is_reached() {
    for (ip, family) in [
        (RELAY, AddressFamily::Ipv4),
        (RELAY_BOUND, AddressFamily::Ipv4),
        (RELAY_V6, AddressFamily::Ipv6),
    ] {
        let (mut lab, mut client) = allocated(&[], family);
        for port in [22, 53, 3478, 6379, 49_151] {
            unreachable(&mut lab, &mut client, SocketAddr::new(ip, port));
        }
        assert_eq!(client.bind(&mut lab, 0x4000, SocketAddr::new(ip, 50_000)), None);
    }
}

/// Checks a peer whose address is denied: 403 or silence for every request.
#[track_caller]
fn refused(lab: &mut Lab, client: &mut Client, peer: SocketAddr) {
    assert_eq!(client.permit(lab, &[peer]), Some(403), "permission for {peer}");
    unreachable(lab, client, peer);
}

/// Checks a peer that no datagram reaches, although its address may have a permission.
#[track_caller]
fn unreachable(lab: &mut Lab, client: &mut Client, peer: SocketAddr) {
    let before = lab.server.gauges();
    assert_eq!(client.bind(lab, 0x4FFF, peer), Some(403), "channel for {peer}");
    assert_eq!(lab.server.gauges(), before);
    client.permit(lab, &[peer]);
    assert!(client.send(lab, peer, b"x").silence().is_some(), "data for {peer}");
    assert!(client.send_channel(lab, 0x4FFF, b"x").silence().is_some());
}

#[track_caller]
fn reached(lab: &mut Lab, client: &mut Client, peer: SocketAddr) {
    assert_eq!(
        (client.permit(lab, &[peer]), client.bind(lab, 0x4000, peer)),
        (None, None),
        "{peer}"
    );
    assert_eq!(client.send(lab, peer, b"x").to_peer().map(|(_, to, _)| to), Some(peer));
}

fn allocated(rules: &[Rule], family: AddressFamily) -> (Lab, Client) {
    let mut lab = Lab::with(|setup| setup.rules = rules.to_vec());
    let mut client = Client::udp(1);
    let answer = client.ask(&mut lab, Method::ALLOCATE, &|w| {
        w.put(&RequestedTransport::UDP)?.put(&RequestedAddressFamily(family)).map(drop)
    });
    assert_eq!(answer.answer().error(), None);
    (lab, client)
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}
