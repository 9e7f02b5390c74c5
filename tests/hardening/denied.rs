//! H3, H6: with `peers.denied = "ignore"` a request for a denied peer succeeds, and no bit passes
//! in either direction on any path.

use std::net::SocketAddr;

use causeway_relay::{
    ChannelPermission, Command, DeniedPeers, Discard, IcmpNotice, Traffic, Transport,
};
use causeway_tests::addresses::{LISTENER, LISTENER_V6, RELAY, RELAY_V6, client, peer, peer_v6};
use causeway_tests::{Client, Lab, Reaction, Setup, allow, deny};
use causeway_wire::attribute::AdditionalAddressFamily;
use causeway_wire::attribute::AddressFamily;

const IGNORED: Reaction = Reaction::Silence(Discard::PeerDenied);

fn ignoring(change: impl FnOnce(&mut Setup)) -> Lab {
    Lab::with(|setup| {
        setup.denied = DeniedPeers::Ignore;
        change(setup);
    })
}

/// One peer for each reason to deny it.
fn denied() -> Vec<SocketAddr> {
    let by_default = causeway_wire::SPECIAL_PURPOSE.iter().map(|range| {
        let ip = range.network.split('/').next().unwrap().parse().unwrap();
        SocketAddr::new(ip, 5000)
    });
    let others =
        ["20.0.0.66:5000", "20.0.0.1:0", "[64:ff9b::10.1.2.3]:1", "[2002:1400:1::1]:1", "[::1]:1"]
            .map(|text| text.parse().unwrap());
    let ours = [LISTENER, LISTENER_V6, SocketAddr::new(RELAY, 22), SocketAddr::new(RELAY_V6, 22)];
    by_default.chain(others).chain(ours).collect()
}

#[test]
fn h3_nothing_passes_between_a_client_and_a_denied_peer_that_is_ignored() {
    for (transport, lasting) in [
        (Transport::Udp, ChannelPermission::WithChannel),
        (Transport::Udp, ChannelPermission::Rfc8656),
        (Transport::Tcp, ChannelPermission::WithChannel),
        (Transport::Tls, ChannelPermission::WithChannel),
        (Transport::Dtls, ChannelPermission::WithChannel),
    ] {
        for peer in denied() {
            let mut lab = ignoring(|setup| {
                (setup.channel_permission, setup.rules) = (lasting, vec![deny("20.0.0.66/32")]);
            });
            let mut client = Client::at(client(1, 1), transport);
            let (ipv4, ipv6) = client.allocate_both(&mut lab);
            let relayed = if peer.is_ipv4() { ipv4 } else { ipv6 };
            assert_eq!(
                (client.permit(&mut lab, &[peer]), client.bind(&mut lab, 0x4000, peer)),
                (None, None),
                "{peer}"
            );
            assert_eq!(client.send(&mut lab, peer, b"x"), IGNORED, "{peer}");
            assert_eq!(client.send_channel(&mut lab, 0x4000, b"x"), IGNORED, "{peer}");
            // One of our own addresses may have a permission; nothing is sent to a denied port of
            // it, so nothing comes back.
            if lab.setup.policy().check_address(peer.ip()).is_err() {
                assert_eq!(lab.peer_sends(peer, relayed, b"x"), Some(IGNORED), "{peer}");
                for kind in [1, 3] {
                    let reaction =
                        lab.icmp_arrives(relayed, peer, IcmpNotice { kind, code: 1, data: 0 });
                    assert!(reaction.silence().is_some(), "{peer}: {reaction:?}");
                }
            }
            let id = lab.server.allocation(&client.five_tuple).unwrap();
            assert_eq!(
                lab.server.traffic(id),
                Some(Traffic::default()),
                "nothing is counted as relayed"
            );
            let record = lab.server.export(lab.now(), id).unwrap();
            assert!(record.channels.is_empty(), "the record has no channel");
            assert!(
                record.permissions.iter().all(|permission| lab
                    .server
                    .policy()
                    .check_address(permission.peer)
                    .is_ok()),
                "{peer}"
            );
        }
    }
}

#[test]
fn h3_what_is_not_ignored_is_refused_as_before() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    let private: SocketAddr = "10.1.2.3:5000".parse().unwrap();
    assert_eq!(
        (client.permit(&mut lab, &[private]), client.bind(&mut lab, 0x4000, private)),
        (Some(403), Some(403))
    );
    assert_eq!(client.send(&mut lab, private, b"x"), Reaction::Silence(Discard::NoPermission));
    assert_eq!(client.send_channel(&mut lab, 0x4000, b"x"), Reaction::Silence(Discard::NoChannel));
    assert_eq!(
        lab.peer_sends(private, relayed, b"x"),
        Some(Reaction::Silence(Discard::NoPermission))
    );
}

#[test]
fn h6_of_several_peers_those_that_are_allowed_are_permitted_and_the_others_ignored() {
    let private: SocketAddr = "192.168.1.1:1".parse().unwrap();
    for position in 0..4 {
        let (mut lab, mut client) = (ignoring(|_| {}), Client::udp(1));
        let relayed = client.allocate(&mut lab);
        let mut peers: Vec<_> = (1..=3).map(|host| peer(host, 1)).collect();
        peers.insert(position, private);
        assert_eq!(client.permit(&mut lab, &peers), None);
        assert_eq!(lab.server.gauges().permissions, 3);
        for peer in peers.into_iter().filter(|peer| *peer != private) {
            assert_eq!(
                client.send(&mut lab, peer, b"x").to_peer(),
                Some((relayed, peer, &b"x"[..]))
            );
            assert!(lab.peer_sends(peer, relayed, b"x").unwrap().to_client().is_some());
        }
        assert_eq!(
            (client.send(&mut lab, private, b"x"), lab.peer_sends(private, relayed, b"x")),
            (IGNORED, Some(IGNORED))
        );
        // Families are checked first: other errors of a request stay errors.
        assert_eq!(client.permit(&mut lab, &[peer_v6(1, 1)]), Some(443));
    }
}

#[test]
fn rfc8656_12_2_a_channel_to_an_ignored_peer_keeps_its_number_and_counts() {
    let mut lab = ignoring(|setup| setup.limits.channels_per_allocation = 2);
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    client.refresh(&mut lab, 3600);
    let [one, other]: [SocketAddr; 2] =
        ["10.0.0.1:1".parse().unwrap(), "10.0.0.2:1".parse().unwrap()];
    assert_eq!(client.bind(&mut lab, 0x4000, one), None);
    assert_eq!(client.bind(&mut lab, 0x4000, one), None, "again");
    for (number, peer) in [(0x4000, other), (0x4000, peer(1, 1)), (0x4001, one)] {
        assert_eq!(client.bind(&mut lab, number, peer), Some(400), "{number:x} to {peer}");
    }
    assert_eq!(client.bind(&mut lab, 0x4001, peer(1, 1)), None);
    assert_eq!(client.bind(&mut lab, 0x4001, other), Some(400));
    assert_eq!(lab.server.gauges().channels, 2);
    assert_eq!(
        (client.bind(&mut lab, 0x4002, other), client.bind(&mut lab, 0x4002, peer(2, 1))),
        (Some(508), Some(508)),
        "H33"
    );
    lab.pass_seconds(600);
    assert_eq!(
        client.send_channel(&mut lab, 0x4000, b"x"),
        Reaction::Silence(Discard::NoChannel),
        "it has expired"
    );
    assert_eq!(
        (client.bind(&mut lab, 0x4000, peer(2, 1)), client.bind(&mut lab, 0x4001, one)),
        (None, None),
        "both are free again"
    );
    assert!(client.send_channel(&mut lab, 0x4000, b"x").to_peer().is_some());
    assert_eq!(client.send_channel(&mut lab, 0x4001, b"x"), IGNORED);
    client.refresh(&mut lab, 0);
    assert_eq!(
        lab.server.gauges(),
        causeway_relay::Gauges {
            parked: 0,
            keys: 0,
            timers: lab.server.gauges().timers,
            ..Default::default()
        }
    );
}

#[test]
fn h3_a_new_policy_opens_no_channel_that_was_ignored_and_shuts_what_it_denies() {
    let (mut lab, mut client) = (ignoring(|_| {}), Client::udp(1));
    client.allocate(&mut lab);
    let private: SocketAddr = "10.1.2.3:5000".parse().unwrap();
    assert_eq!(
        (client.bind(&mut lab, 0x4000, private), client.bind(&mut lab, 0x4001, peer(1, 1))),
        (None, None)
    );
    let other = Setup::with(|setup| setup.rules = vec![allow("10.0.0.0/8"), deny("20.0.0.1/32")]);
    lab.command(Command::SetPolicy(other.policy()));
    assert_eq!(lab.server.gauges().channels, 0);
    assert_eq!(client.send_channel(&mut lab, 0x4000, b"x"), Reaction::Silence(Discard::NoChannel));
    assert!(client.send_channel(&mut lab, 0x4001, b"x").silence().is_some());
    assert_eq!(
        (client.bind(&mut lab, 0x4000, private), client.bind(&mut lab, 0x4001, peer(1, 1))),
        (None, None)
    );
    assert_eq!(
        client.send_channel(&mut lab, 0x4000, b"x").to_peer().map(|(_, to, _)| to),
        Some(private)
    );
    assert_eq!(client.send_channel(&mut lab, 0x4001, b"x"), IGNORED);
}

#[test]
fn h3_an_allocation_that_is_brought_back_has_no_channel_to_an_ignored_peer() {
    let (mut lab, mut client) = (ignoring(|_| {}), Client::udp(1));
    client.allocate(&mut lab);
    let private: SocketAddr = "10.1.2.3:5000".parse().unwrap();
    client.bind(&mut lab, 0x4000, private);
    client.bind(&mut lab, 0x4001, peer(1, 1));
    let mut next = lab.succeed();
    assert_eq!(next.server.gauges().channels, 1);
    assert_eq!(client.send_channel(&mut next, 0x4000, b"x"), Reaction::Silence(Discard::NoChannel));
    assert!(client.send_channel(&mut next, 0x4001, b"x").to_peer().is_some());
    client.fetch_nonce(&mut next);
    assert_eq!(client.bind(&mut next, 0x4000, private), None);
    assert_eq!(client.send_channel(&mut next, 0x4000, b"x"), IGNORED);
}

#[test]
fn h1_a_client_behind_a_tunnel_is_refused_although_denied_peers_are_ignored() {
    let mut lab = ignoring(|_| {});
    let mut tunnelled = Client::at("[2002:1400:1::1]:1".parse().unwrap(), Transport::Udp);
    assert_eq!(
        tunnelled
            .allocate_with(&mut lab, &|w| w
                .put(&AdditionalAddressFamily(AddressFamily::Ipv6))
                .map(drop))
            .error(),
        Some(403)
    );
}

#[test]
fn h3_two_clients_of_one_server_still_meet_where_denied_peers_are_ignored() {
    let mut lab = ignoring(|_| {});
    let (mut a, mut b) = (Client::udp(1), Client::tcp(2));
    let (relayed_a, relayed_b) = (a.allocate(&mut lab), b.allocate(&mut lab));
    // As ICE does: all candidates of the other client, also the private ones.
    let private: SocketAddr = "192.168.1.2:5000".parse().unwrap();
    assert_eq!(
        (a.permit(&mut lab, &[private, relayed_b]), b.bind(&mut lab, 0x4000, relayed_a)),
        (None, None)
    );
    let Reaction::ToPeer { from, to, data, .. } = a.send(&mut lab, relayed_b, b"hello") else {
        panic!("not sent")
    };
    assert_eq!((from, to), (relayed_a, relayed_b));
    assert!(lab.peer_sends(from, to, &data).unwrap().to_client().is_some());
}
