//! RFC 8656 §5 and RFC 8656 §13: clients of one family, relayed addresses of the other, and the
//! errors 440 and 443.

use causeway_relay::{Discard, Transport};
use causeway_tests::addresses::{client, client_v6, peer, peer_v6};
use causeway_tests::{Client, Lab, Reaction};
use causeway_wire::Message;
use causeway_wire::attribute::{AddressFamily, Data, RequestedAddressFamily, XorPeerAddress};

#[test]
fn rfc8656_5_ipv4_to_ipv6_ipv6_to_ipv6_and_ipv6_to_ipv4_are_relayed_both_ways() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls] {
        for client in [client(1, 1), client_v6(1, 1)] {
            for (family, peer) in
                [(AddressFamily::Ipv4, peer(1, 7)), (AddressFamily::Ipv6, peer_v6(1, 7))]
            {
                relays(Client::at(client, transport), family, peer);
            }
        }
    }
}

fn relays(mut client: Client, family: AddressFamily, peer: std::net::SocketAddr) {
    let mut lab = Lab::default();
    let answer =
        client.allocate_with(&mut lab, &|w| w.put(&RequestedAddressFamily(family)).map(drop));
    let relayed = answer.relayed().unwrap();
    assert_eq!(
        (relayed.is_ipv4(), answer.mapped()),
        (peer.is_ipv4(), Some(client.five_tuple.client))
    );
    assert_eq!(client.permit(&mut lab, &[peer]), None);
    assert_eq!(client.send(&mut lab, peer, b"out").to_peer(), Some((relayed, peer, &b"out"[..])));
    let reaction = lab.peer_sends(peer, relayed, b"in").unwrap();
    let Reaction::ToClient { to, bytes, .. } = &reaction else { panic!("{reaction:?}") };
    let message = Message::decode(bytes).unwrap();
    assert_eq!((*to, message.attribute()), (client.five_tuple, Ok(Some(XorPeerAddress(peer)))));
    assert_eq!(message.attribute(), Ok(Some(Data(b"in"))));
    assert_eq!(client.bind(&mut lab, 0x4000, peer), None);
    assert_eq!(
        client.send_channel(&mut lab, 0x4000, b"out").to_peer(),
        Some((relayed, peer, &b"out"[..]))
    );
    assert_eq!(
        lab.peer_sends(peer, relayed, b"in").unwrap().to_client().unwrap()[..6],
        *b"\x40\x00\x00\x02in"
    );
}

#[test]
fn rfc8656_10_2_and_12_2_a_peer_of_another_family_is_443() {
    for (family, other) in [(AddressFamily::Ipv4, peer_v6(1, 7)), (AddressFamily::Ipv6, peer(1, 7))]
    {
        let (mut lab, mut client) = (Lab::default(), Client::udp(1));
        client.allocate_with(&mut lab, &|w| w.put(&RequestedAddressFamily(family)).map(drop));
        let own = if family == AddressFamily::Ipv4 { peer(2, 2) } else { peer_v6(2, 2) };
        assert_eq!(client.permit(&mut lab, &[other]), Some(443));
        assert_eq!(client.permit(&mut lab, &[own, other]), Some(443), "one of several");
        assert_eq!(client.bind(&mut lab, 0x4000, other), Some(443));
        assert_eq!(client.send(&mut lab, other, b"x"), Reaction::Silence(Discard::PeerFamily));
        assert_eq!((lab.server.gauges().permissions, lab.server.gauges().channels), (0, 0));
    }
}
