//! RFC 8656 §11.2 and §11.3: Send and Data indications.

use std::net::SocketAddr;

use causeway_relay::{Discard, Traffic, Transport};
use causeway_tests::addresses::{client, peer, peer_v6};
use causeway_tests::{Client, Fill, Lab, Reaction};
use causeway_wire::attribute::{
    AddressFamily, AttributeType, Data, RequestedAddressFamily, RequestedTransport, XorPeerAddress,
};
use causeway_wire::{Class, Message, MessageWriter, Method};

#[test]
fn rfc8656_11_2_the_data_leave_from_the_relayed_address_byte_for_byte() {
    let (mut lab, mut client, relayed) = permitted();
    for length in [0, 1, 2, 3, 4, 5, 1199, 1200, 65_000] {
        let data: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
        assert_eq!(
            client.send(&mut lab, peer(1, 99), &data).to_peer(),
            Some((relayed, peer(1, 99), &data[..])),
            "{length} bytes"
        );
    }
}

#[test]
fn rfc8656_11_2_without_peer_or_data_it_is_discarded() {
    let (mut lab, mut client, _) = permitted();
    let missing = Reaction::Silence(Discard::MissingAttribute);
    assert_eq!(indication(&mut client, &mut lab, &|w| w.put(&Data(b"x")).map(drop)), missing);
    assert_eq!(
        indication(&mut client, &mut lab, &|w| w.put(&XorPeerAddress(peer(1, 1))).map(drop)),
        missing
    );
    assert_eq!(indication(&mut client, &mut lab, &|_| Ok(())), missing);
    let broken: Fill<'_> =
        &|w| w.put_raw(AttributeType::XOR_PEER_ADDRESS, &[0, 1, 2])?.put(&Data(b"x")).map(drop);
    assert_eq!(indication(&mut client, &mut lab, broken), missing);
}

#[test]
fn rfc8656_11_2_the_order_of_the_attributes_does_not_matter() {
    let (mut lab, mut client, relayed) = permitted();
    let swapped: Fill<'_> = &|w| w.put(&Data(b"abc"))?.put(&XorPeerAddress(peer(1, 1))).map(drop);
    assert_eq!(
        indication(&mut client, &mut lab, swapped).to_peer(),
        Some((relayed, peer(1, 1), &b"abc"[..]))
    );
}

#[test]
fn rfc8656_11_2_without_a_permission_it_is_discarded_and_installs_none() {
    let (mut lab, mut client, relayed) = permitted();
    assert_eq!(client.send(&mut lab, peer(2, 1), b"x"), Reaction::Silence(Discard::NoPermission));
    assert_eq!(
        lab.peer_sends(peer(2, 1), relayed, b"x"),
        Some(Reaction::Silence(Discard::NoPermission))
    );
    assert_eq!(lab.server.gauges().permissions, 1);
}

#[test]
fn rfc8656_11_2_a_peer_that_is_not_allowed_is_discarded() {
    let (mut lab, mut client, _) = permitted();
    assert_eq!(
        client.send(&mut lab, peer(1, 0), b"x"),
        Reaction::Silence(Discard::PeerDenied),
        "port 0"
    );
    assert_eq!(client.send(&mut lab, peer_v6(1, 1), b"x"), Reaction::Silence(Discard::PeerFamily));
    assert!(client.send(&mut lab, "127.0.0.1:1".parse().unwrap(), b"x").silence().is_some());
}

#[test]
fn rfc8656_11_2_no_indication_is_ever_answered() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    for method in [
        Method::BINDING,
        Method::ALLOCATE,
        Method::REFRESH,
        Method::CREATE_PERMISSION,
        Method::CHANNEL_BIND,
        Method::DATA,
    ] {
        let id = client.next_transaction();
        let mut bytes = [0; 64];
        let len = MessageWriter::new(&mut bytes, Class::Indication, method, id).unwrap().finish();
        assert!(
            lab.client_sends(&client.five_tuple, &bytes[..len]).silence().is_some(),
            "{method:?}"
        );
    }
}

#[test]
fn rfc8656_11_3_without_a_channel_the_data_come_in_a_data_indication() {
    let (mut lab, client, relayed) = permitted();
    for length in [0, 1, 2, 3, 4, 5, 1199, 1200, 65_000] {
        let data: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
        let reaction = lab.peer_sends(peer(1, 4242), relayed, &data).unwrap();
        let Reaction::ToClient { to, bytes, .. } = &reaction else { panic!("{reaction:?}") };
        let message = Message::decode(bytes).unwrap();
        assert_eq!(
            (*to, message.class(), message.method()),
            (client.five_tuple, Class::Indication, Method::DATA)
        );
        assert_eq!(message.attribute::<XorPeerAddress>(), Ok(Some(XorPeerAddress(peer(1, 4242)))));
        assert_eq!(message.attribute::<Data<'_>>(), Ok(Some(Data(&data))));
        assert_eq!(message.attributes().count(), 2);
        assert!(
            bytes[bytes.len() - (causeway_wire::padded(length) - length)..]
                .iter()
                .all(|pad| *pad == 0)
        );
    }
}

#[test]
fn rfc8656_11_3_a_data_indication_names_an_ipv6_peer() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    let allocated = client.ask(&mut lab, Method::ALLOCATE, &|w| {
        w.put(&RequestedTransport::UDP)?.put(&RequestedAddressFamily(AddressFamily::Ipv6)).map(drop)
    });
    let relayed = allocated.answer().relayed().unwrap();
    client.permit(&mut lab, &[peer_v6(1, 1)]);
    assert_eq!(
        client.send(&mut lab, peer_v6(1, 7), b"abc").to_peer(),
        Some((relayed, peer_v6(1, 7), &b"abc"[..]))
    );
    let reaction = lab.peer_sends(peer_v6(1, 7), relayed, b"abc").unwrap();
    let message = Message::decode(reaction.to_client().unwrap()).unwrap();
    assert_eq!(message.attribute::<XorPeerAddress>(), Ok(Some(XorPeerAddress(peer_v6(1, 7)))));
    assert_eq!(message.attribute::<Data<'_>>(), Ok(Some(Data(b"abc"))));
}

#[test]
fn rfc8656_11_3_each_data_indication_has_a_transaction_id_of_its_own() {
    let (mut lab, _, relayed) = permitted();
    let mut ids: Vec<_> = (0..100)
        .map(|_| {
            let reaction = lab.peer_sends(peer(1, 1), relayed, b"x").unwrap();
            Message::decode(reaction.to_client().unwrap()).unwrap().transaction_id()
        })
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100);
}

#[test]
fn rfc8656_11_3_data_that_no_data_indication_can_hold_are_discarded() {
    let (mut lab, _, relayed) = permitted();
    assert_eq!(
        lab.peer_sends(peer(1, 1), relayed, &vec![0; 65_535]),
        Some(Reaction::Silence(Discard::TooLong))
    );
    assert_eq!(
        lab.peer_sends(peer(1, 1), relayed, &vec![0; 65_536]),
        Some(Reaction::Silence(Discard::TooLong))
    );
    let longest = 65_532 - 12 - 4;
    assert!(lab.peer_sends(peer(1, 1), relayed, &vec![0; longest]).unwrap().to_client().is_some());
    assert!(
        lab.peer_sends(peer(1, 1), relayed, &vec![0; longest + 1]).unwrap().silence().is_some()
    );
}

#[test]
fn rfc8656_11_3_the_data_are_sent_on_the_5_tuple_of_the_allocation() {
    let mut lab = Lab::default();
    let mut clients: Vec<_> = [Transport::Udp, Transport::Tcp]
        .map(|transport| Client::at(client(1, 1), transport))
        .into();
    for client in &mut clients {
        let relayed = client.allocate(&mut lab);
        client.permit(&mut lab, &[peer(1, 1)]);
        let Some(Reaction::ToClient { to, .. }) = lab.peer_sends(peer(1, 1), relayed, b"x") else {
            panic!("no indication")
        };
        assert_eq!(to, client.five_tuple);
    }
}

#[test]
fn rfc8656_11_traffic_is_counted_both_ways() {
    let (mut lab, mut client, relayed) = permitted();
    client.send(&mut lab, peer(1, 1), &[0; 10]);
    client.send(&mut lab, peer(2, 1), &[0; 10]);
    lab.peer_sends(peer(1, 1), relayed, &[0; 7]);
    lab.peer_sends(peer(1, 1), relayed, &[0; 7]);
    lab.peer_sends(peer(2, 1), relayed, &[0; 7]);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    client.send_channel(&mut lab, 0x4000, &[0; 5]);
    let expected = Traffic {
        packets_to_peer: 2,
        bytes_to_peer: 15,
        packets_to_client: 2,
        bytes_to_client: 14,
    };
    let id = lab.server.allocation(&client.five_tuple).unwrap();
    assert_eq!(lab.server.traffic(id), Some(expected));
    client.refresh(&mut lab, 0);
    assert_eq!(lab.ended[0].traffic, expected);
}

fn permitted() -> (Lab, Client, SocketAddr) {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    assert_eq!(client.permit(&mut lab, &[peer(1, 1)]), None);
    (lab, client, relayed)
}

fn indication(client: &mut Client, lab: &mut Lab, fill: Fill<'_>) -> Reaction {
    let id = client.next_transaction();
    let mut bytes = [0; 256];
    let mut writer = MessageWriter::new(&mut bytes, Class::Indication, Method::SEND, id).unwrap();
    fill(&mut writer).unwrap();
    let len = writer.finish();
    lab.client_sends(&client.five_tuple, &bytes[..len])
}
