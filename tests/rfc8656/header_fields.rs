//! RFC 8656 §13 to RFC 8656 §16: the header fields that the shell must set, DSCP, ECN and DF; RFC
//! 8656 §3.7 and check 4 of RFC 8656 §7.2 on DONT-FRAGMENT.

use std::net::SocketAddr;

use causeway_relay::Transport;
use causeway_tests::addresses::{client, client_v6, peer, peer_v6};
use causeway_tests::{Client, Fill, Lab, Reaction};
use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressFamily, AttributeType, Data, DontFragment,
    RequestedAddressFamily, XorPeerAddress,
};
use causeway_wire::{Class, MessageWriter, Method};

const TRANSPORTS: [Transport; 4] =
    [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls];

#[test]
fn rfc8656_7_2_check_4_dont_fragment_is_supported() {
    for transport in TRANSPORTS {
        let mut lab = Lab::default();
        let answer = Client::at(client(1, 1), transport)
            .allocate_with(&mut lab, &|w| w.put(&DontFragment).map(drop));
        assert_eq!(answer.error(), None, "{transport:?}");
    }
}

#[test]
fn rfc8656_3_7_who_cannot_read_the_df_bit_of_ipv4_rejects_dont_fragment_when_translating_to_ipv6() {
    let requested: Fill<'_> =
        &|w| w.put(&DontFragment)?.put(&RequestedAddressFamily(AddressFamily::Ipv6)).map(drop);
    let additional: Fill<'_> =
        &|w| w.put(&DontFragment)?.put(&AdditionalAddressFamily(AddressFamily::Ipv6)).map(drop);
    for fill in [requested, additional] {
        for transport in TRANSPORTS {
            let mut lab = Lab::default();
            let translates = !transport.is_stream();
            let answer = Client::at(client(1, 1), transport).allocate_with(&mut lab, fill);
            let unknown = if translates { vec![AttributeType::DONT_FRAGMENT] } else { Vec::new() };
            assert_eq!(
                (answer.error(), answer.unknown()),
                (translates.then_some(420), unknown),
                "from IPv4 over {transport:?}"
            );
            assert_eq!(lab.server.gauges().allocations, usize::from(!translates));
            let from_ipv6 = Client::at(client_v6(1, 1), transport).allocate_with(&mut lab, fill);
            assert_eq!(from_ipv6.error(), None, "from IPv6 over {transport:?}");
        }
    }
}

#[test]
fn rfc8656_14_dont_fragment_in_a_send_indication_sets_df_from_ipv4_to_ipv4() {
    for transport in [Transport::Udp, Transport::Dtls] {
        assert!(dont_fragment(client(1, 1), transport, peer(1, 1)), "{transport:?}");
    }
}

#[test]
fn rfc8656_13_1_from_ipv4_to_ipv6_dont_fragment_is_ignored() {
    for transport in [Transport::Udp, Transport::Dtls] {
        assert!(!dont_fragment(client(1, 1), transport, peer_v6(1, 1)), "{transport:?}");
    }
}

#[test]
fn rfc8656_13_2_from_ipv6_to_ipv6_dont_fragment_is_ignored() {
    for transport in [Transport::Udp, Transport::Dtls] {
        assert!(!dont_fragment(client_v6(1, 1), transport, peer_v6(1, 1)), "{transport:?}");
    }
}

#[test]
fn rfc8656_13_3_from_ipv6_to_ipv4_dont_fragment_is_ignored() {
    for transport in [Transport::Udp, Transport::Dtls] {
        assert!(!dont_fragment(client_v6(1, 1), transport, peer(1, 1)), "{transport:?}");
    }
}

#[test]
fn rfc8656_15_from_a_connection_dont_fragment_is_honoured_in_every_family() {
    for transport in [Transport::Tcp, Transport::Tls] {
        for client in [client(1, 1), client_v6(1, 1)] {
            for peer in [peer(1, 1), peer_v6(1, 1)] {
                assert!(
                    dont_fragment(client, transport, peer),
                    "{client} over {transport:?} to {peer}"
                );
            }
        }
    }
}

#[test]
fn rfc8656_11_2_without_dont_fragment_df_is_not_set() {
    for transport in TRANSPORTS {
        let (mut lab, mut client) = permitted(client(1, 1), transport);
        let (sent, on_channel) =
            (client.send(&mut lab, peer(1, 1), b"x"), client.send_channel(&mut lab, 0x4000, b"x"));
        assert_eq!(
            [sent, on_channel].map(|reaction| reaction.header_fields().map(|(df, _)| df)),
            [Some(false); 2],
            "{transport:?}"
        );
    }
}

#[test]
fn rfc8656_14_between_datagrams_dscp_and_ecn_are_carried_both_ways() {
    for transport in [Transport::Udp, Transport::Dtls] {
        carries(transport, client(1, 1), peer(1, 1), true);
    }
}

#[test]
fn rfc8656_13_1_the_traffic_class_is_carried_from_ipv4_to_ipv6() {
    carries(Transport::Udp, client(1, 1), peer_v6(1, 1), true);
}

#[test]
fn rfc8656_13_2_the_traffic_class_is_carried_from_ipv6_to_ipv6() {
    carries(Transport::Udp, client_v6(1, 1), peer_v6(1, 1), true);
}

#[test]
fn rfc8656_13_3_the_traffic_class_is_carried_from_ipv6_to_ipv4() {
    carries(Transport::Udp, client_v6(1, 1), peer(1, 1), true);
}

#[test]
fn rfc8656_15_from_a_connection_dscp_is_the_default_and_ecn_not_ect() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let (mut lab, mut client) = permitted(client(1, 1), transport);
        let (sent, on_channel) =
            (client.send(&mut lab, peer(1, 1), b"x"), client.send_channel(&mut lab, 0x4000, b"x"));
        assert_eq!(
            [sent, on_channel].map(|reaction| reaction.header_fields()),
            [Some((false, false)); 2],
            "{transport:?}"
        );
    }
}

#[test]
fn rfc8656_16_towards_a_connection_dscp_and_ecn_are_ignored() {
    for transport in [Transport::Tcp, Transport::Tls] {
        carries(transport, client(1, 1), peer(1, 1), false);
    }
}

/// Whether a Send indication with DONT-FRAGMENT leaves for the peer with DF set.
fn dont_fragment(client: SocketAddr, transport: Transport, peer: SocketAddr) -> bool {
    let (mut lab, mut client) = permitted(client, transport);
    let id = client.next_transaction();
    let mut bytes = [0; 256];
    let mut writer = MessageWriter::new(&mut bytes, Class::Indication, Method::SEND, id).unwrap();
    writer
        .put(&XorPeerAddress(peer))
        .unwrap()
        .put(&DontFragment)
        .unwrap()
        .put(&Data(b"x"))
        .unwrap();
    let len = writer.finish();
    let reaction = lab.client_sends(&client.five_tuple, &bytes[..len]);
    assert_eq!(
        reaction.to_peer().map(|(_, to, data)| (to, data)),
        Some((peer, &b"x"[..])),
        "it is relayed in any case"
    );
    reaction.header_fields().unwrap().0
}

/// Asserts whether DSCP and ECN are carried, by Send and Data indications and by ChannelData alike.
fn carries(transport: Transport, client: SocketAddr, peer: SocketAddr, expected: bool) {
    let (mut lab, mut client) = permitted(client, transport);
    let relayed = lab.server.relayed(lab.server.allocation(&client.five_tuple).unwrap());
    let relayed = relayed.iter().find(|relayed| relayed.is_ipv4() == peer.is_ipv4()).unwrap().0;
    let number = if peer.is_ipv4() { 0x4000 } else { 0x4001 };
    let beside_the_channel = SocketAddr::new(peer.ip(), peer.port() + 1);
    let reactions: [Reaction; 4] = [
        client.send(&mut lab, peer, b"x"),
        client.send_channel(&mut lab, number, b"x"),
        lab.peer_sends(peer, relayed, b"x").unwrap(),
        lab.peer_sends(beside_the_channel, relayed, b"x").unwrap(),
    ];
    assert_eq!(reactions.map(|reaction| reaction.header_fields()), [Some((false, expected)); 4]);
}

/// A client with a dual allocation and a channel to a peer of each family.
fn permitted(client: SocketAddr, transport: Transport) -> (Lab, Client) {
    let (mut lab, mut client) = (Lab::default(), Client::at(client, transport));
    client.allocate_both(&mut lab);
    assert_eq!(
        (client.bind(&mut lab, 0x4000, peer(1, 1)), client.bind(&mut lab, 0x4001, peer_v6(1, 1))),
        (None, None)
    );
    (lab, client)
}
