//! RFC 8656 §11.5: ICMP about a peer.

use std::net::SocketAddr;

use causeway_relay::{Discard, IcmpNotice, PeerAddress, Transport};
use causeway_tests::addresses::{client, peer, peer_v6};
use causeway_tests::{Client, Lab, Reaction};
use causeway_wire::attribute::{AttributeType, Icmp, XorPeerAddress};
use causeway_wire::{Class, Message, Method};

#[test]
fn rfc8656_11_5_the_client_is_told_in_a_data_indication_with_peer_and_icmp() {
    let (mut lab, client, ipv4, ipv6) = permitted(Transport::Udp);
    for (relayed, peer, kind, code) in [
        (ipv4, peer(1, 7), 3, 0),
        (ipv4, peer(1, 7), 3, 3),
        (ipv4, peer(1, 7), 3, 13),
        (ipv4, peer(1, 7), 11, 0),
        (ipv6, peer_v6(1, 7), 1, 4),
        (ipv6, peer_v6(1, 7), 3, 0),
    ] {
        let reaction = lab.icmp_arrives(relayed, peer, IcmpNotice { kind, code, data: 0 });
        let Reaction::Notice { to, bytes } = &reaction else {
            panic!("{kind} {code}: {reaction:?}")
        };
        let message = Message::decode(bytes).unwrap();
        assert_eq!(
            (*to, message.class(), message.method()),
            (client.five_tuple, Class::Indication, Method::DATA)
        );
        assert_eq!(
            message.attribute(),
            Ok(Some(XorPeerAddress(peer))),
            "the destination of the datagram, with its port"
        );
        assert_eq!(
            message.attribute(),
            Ok(Some(Icmp { icmp_type: kind, code, error_data: [0; 4] }))
        );
        assert!(!message.has(AttributeType::DATA), "it is not a datagram of the peer");
        assert_eq!(message.attributes().count(), 2);
    }
}

#[test]
fn rfc8656_11_5_other_types_are_silently_dropped() {
    let (mut lab, _, ipv4, ipv6) = permitted(Transport::Udp);
    for kind in (0..=255).filter(|kind| ![3, 11].contains(kind)) {
        let reaction = lab.icmp_arrives(ipv4, peer(1, 7), IcmpNotice { kind, code: 0, data: 0 });
        assert_eq!(reaction, Reaction::Silence(Discard::IcmpType), "ICMPv4 {kind}");
    }
    for kind in (0..=255).filter(|kind| ![1, 2, 3].contains(kind)) {
        let reaction = lab.icmp_arrives(ipv6, peer_v6(1, 7), IcmpNotice { kind, code: 0, data: 0 });
        assert_eq!(reaction, Reaction::Silence(Discard::IcmpType), "ICMPv6 {kind}");
    }
}

#[test]
fn rfc8656_11_5_without_a_permission_it_is_silently_dropped() {
    let (mut lab, _, ipv4, _) = permitted(Transport::Udp);
    assert_eq!(
        lab.icmp_arrives(ipv4, peer(2, 7), UNREACHABLE),
        Reaction::Silence(Discard::NoPermission)
    );
    lab.pass_seconds(300);
    assert_eq!(
        lab.icmp_arrives(ipv4, peer(1, 7), UNREACHABLE),
        Reaction::Silence(Discard::NoPermission),
        "it has expired"
    );
}

#[test]
fn rfc8656_11_5_only_addresses_are_compared_and_who_sent_the_icmp_does_not_matter() {
    let (mut lab, _, ipv4, _) = permitted(Transport::Udp);
    for port in [1, 7, 65_535] {
        // The interface does not even have the address of the router that sent it.
        assert!(
            lab.icmp_arrives(ipv4, peer(1, port), UNREACHABLE).notice().is_some(),
            "port {port}"
        );
    }
    let unknown_port = lab.icmp_arrives(ipv4, peer(1, 0), UNREACHABLE);
    let message = Message::decode(unknown_port.notice().unwrap()).unwrap();
    assert_eq!(
        message.attribute(),
        Ok(Some(XorPeerAddress(peer(1, 0)))),
        "otherwise, the port portion is set to zero"
    );
}

#[test]
fn rfc8656_11_5_without_an_allocation_it_is_silently_dropped() {
    let (mut lab, mut client, ipv4, _) = permitted(Transport::Udp);
    let relay = lab.pool.relay(ipv4).unwrap();
    client.refresh(&mut lab, 0);
    let peer = PeerAddress(peer(1, 7));
    let verdict = lab.server.handle_icmp(lab.now(), relay, peer, &UNREACHABLE, &mut [0; 1500]);
    assert_eq!(verdict, Err(Discard::NotReady));
}

#[test]
fn rfc8656_12_5_icmp_comes_in_a_data_indication_even_if_a_channel_is_bound() {
    let (mut lab, mut client, ipv4, _) = permitted(Transport::Udp);
    client.bind(&mut lab, 0x4000, peer(1, 7));
    let reaction = lab.icmp_arrives(ipv4, peer(1, 7), UNREACHABLE);
    assert!(Message::decode(reaction.notice().unwrap()).unwrap().has(AttributeType::ICMP));
}

#[test]
fn rfc8656_16_icmp_is_forwarded_to_clients_on_connections_too() {
    for transport in [Transport::Tcp, Transport::Tls, Transport::Dtls] {
        let (mut lab, client, ipv4, _) = permitted(transport);
        let Reaction::Notice { to, bytes } = lab.icmp_arrives(ipv4, peer(1, 7), UNREACHABLE) else {
            panic!("no indication")
        };
        assert_eq!((to, bytes.len() % 4), (client.five_tuple, 0));
    }
}

#[test]
fn rfc8656_18_13_error_data_is_the_mtu_or_zero() {
    let (mut lab, _, ipv4, ipv6) = permitted(Transport::Udp);
    for (relayed, peer, kind, code, told) in [
        (ipv4, peer(1, 7), 3, 4, 1400),
        (ipv4, peer(1, 7), 3, 3, 0),
        (ipv4, peer(1, 7), 11, 4, 0),
        (ipv6, peer_v6(1, 7), 2, 0, 1400),
        (ipv6, peer_v6(1, 7), 1, 4, 0),
        (ipv6, peer_v6(1, 7), 3, 4, 0),
    ] {
        let reaction = lab.icmp_arrives(relayed, peer, IcmpNotice { kind, code, data: 1400 });
        let message = Message::decode(reaction.notice().unwrap()).unwrap();
        let expected = Icmp { icmp_type: kind, code, error_data: u32::to_be_bytes(told) };
        assert_eq!(message.attribute(), Ok(Some(expected)), "{kind} {code}");
        let raw = message.attributes().find(|raw| raw.kind == AttributeType::ICMP).unwrap();
        assert_eq!(
            raw.value[..2],
            [0, 0],
            "RFC 8656 §18.13: Reserved \"MUST be set to 0 when sent\""
        );
    }
}

const UNREACHABLE: IcmpNotice = IcmpNotice { kind: 3, code: 3, data: 0 };

/// A dual allocation that permits one peer of each family.
fn permitted(transport: Transport) -> (Lab, Client, SocketAddr, SocketAddr) {
    let (mut lab, mut client) = (Lab::default(), Client::at(client(1, 1), transport));
    let (ipv4, ipv6) = client.allocate_both(&mut lab);
    assert_eq!(client.permit(&mut lab, &[peer(1, 1), peer_v6(1, 1)]), None);
    (lab, client, ipv4, ipv6)
}
