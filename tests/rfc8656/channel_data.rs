//! RFC 8656 §12.4 to §12.7: ChannelData.

use std::net::SocketAddr;

use causeway_relay::{ChannelPermission, Discard, Transport};
use causeway_tests::addresses::{client, peer};
use causeway_tests::{Client, Lab, Reaction};

#[test]
fn rfc8656_12_6_the_data_leave_for_the_channels_peer_byte_for_byte() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (mut lab, mut client, relayed) = bound(transport);
        for length in [0, 1, 2, 3, 4, 5, 1199, 1200, 65_507] {
            let data: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
            let reaction = client.send_channel(&mut lab, 0x4000, &data);
            assert_eq!(
                reaction.to_peer(),
                Some((relayed, peer(1, 1), &data[..])),
                "{length} bytes, without their padding"
            );
        }
    }
}

#[test]
fn rfc8656_12_5_the_server_uses_the_channel_that_is_bound_to_the_peer() {
    let (mut lab, client, relayed) = bound(Transport::Udp);
    let reaction = lab.peer_sends(peer(1, 1), relayed, b"abcde").unwrap();
    assert_eq!(
        reaction,
        Reaction::ToClient {
            to: client.five_tuple,
            bytes: b"\x40\x00\x00\x05abcde".to_vec(),
            carry_tos: true
        }
    );
    let from_another_port = lab.peer_sends(peer(1, 2), relayed, b"abcde").unwrap();
    assert_eq!(
        from_another_port.to_client().unwrap()[0],
        0,
        "a Data indication: the channel is another's"
    );
}

#[test]
fn rfc8656_12_5_over_a_stream_messages_are_padded_and_their_length_does_not_count_it() {
    for (length, padding) in [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0), (5, 3)] {
        for (transport, padding) in [
            (Transport::Tcp, padding),
            (Transport::Tls, padding),
            (Transport::Udp, 0),
            (Transport::Dtls, 0),
        ] {
            let (mut lab, _, relayed) = bound(transport);
            let reaction = lab.peer_sends(peer(1, 1), relayed, &vec![0xAA; length]).unwrap();
            let expected =
                [&[0x40, 0, 0, length as u8][..], &vec![0xAA; length], &vec![0; padding]].concat();
            assert_eq!(
                reaction.to_client(),
                Some(&expected[..]),
                "{length} bytes over {transport:?}"
            );
        }
    }
}

#[test]
fn rfc8656_12_5_padding_over_udp_is_allowed() {
    let (mut lab, client, relayed) = bound(Transport::Udp);
    let reaction = lab.client_sends(&client.five_tuple, b"\x40\x00\x00\x01a\0\0\0");
    assert_eq!(reaction.to_peer(), Some((relayed, peer(1, 1), &b"a"[..])));
}

#[test]
fn rfc8656_12_6_reserved_numbers_are_discarded() {
    let (mut lab, client, _) = bound(Transport::Udp);
    for number in [0x5000u16, 0x5FFF, 0x7FFE, 0x7FFF] {
        let bytes = [&number.to_be_bytes()[..], &[0, 1, 0xAA]].concat();
        let silence = Reaction::Silence(Discard::ReservedChannel);
        assert_eq!(lab.client_sends(&client.five_tuple, &bytes), silence, "{number:#06x}");
    }
}

#[test]
fn rfc8656_12_6_a_datagram_shorter_than_its_length_says_is_discarded() {
    let (mut lab, client, _) = bound(Transport::Udp);
    for bytes in [
        &b"\x40"[..],
        b"\x40\x00",
        b"\x40\x00\x00",
        b"\x40\x00\x00\x01",
        b"\x40\x00\x00\x05abcd",
        b"\x40\x00\xFF\xFFabcd",
    ] {
        let silence = Reaction::Silence(Discard::TruncatedChannelData);
        assert_eq!(lab.client_sends(&client.five_tuple, bytes), silence, "{bytes:?}");
    }
}

#[test]
fn rfc8656_12_6_an_unbound_channel_is_discarded() {
    let (mut lab, mut client, _) = bound(Transport::Udp);
    assert_eq!(client.send_channel(&mut lab, 0x4001, b"x"), Reaction::Silence(Discard::NoChannel));
}

#[test]
fn rfc8656_12_6_channel_data_refresh_neither_the_channel_nor_the_permission() {
    let (mut lab, mut client, relayed) = bound_in(
        Lab::with(|setup| setup.channel_permission = ChannelPermission::Rfc8656),
        Transport::Udp,
    );
    client.refresh(&mut lab, 3600);
    for second in 1..=60 {
        lab.pass_seconds(10);
        let is_bound = second < 60;
        let may_come_in = second < 30;
        assert_eq!(
            client.send_channel(&mut lab, 0x4000, b"x").to_peer().is_some(),
            is_bound,
            "after {second} times 10 s"
        );
        assert_eq!(
            lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().to_client().is_some(),
            may_come_in
        );
    }
}

#[test]
fn rfc8656_12_7_without_a_permission_nothing_comes_in_on_a_channel() {
    let (mut lab, mut client, relayed) = bound_in(
        Lab::with(|setup| setup.channel_permission = ChannelPermission::Rfc8656),
        Transport::Udp,
    );
    lab.pass_seconds(300);
    assert_eq!(
        lab.peer_sends(peer(1, 1), relayed, b"x"),
        Some(Reaction::Silence(Discard::NoPermission))
    );
    client.permit(&mut lab, &[peer(1, 7)]);
    let reaction = lab.peer_sends(peer(1, 1), relayed, b"x").unwrap();
    assert_eq!(reaction.to_client(), Some(&b"\x40\x00\x00\x01x"[..]));
}

#[test]
fn rfc8656_12_5_send_indications_work_beside_the_channel() {
    let (mut lab, mut client, relayed) = bound(Transport::Udp);
    assert_eq!(
        client.send(&mut lab, peer(1, 1), b"x").to_peer(),
        Some((relayed, peer(1, 1), &b"x"[..]))
    );
    assert_eq!(
        client.send_channel(&mut lab, 0x4000, b"x").to_peer(),
        Some((relayed, peer(1, 1), &b"x"[..]))
    );
}

#[test]
fn rfc8656_12_7_the_longest_datagram_comes_in_on_a_channel() {
    let (mut lab, _, relayed) = bound(Transport::Udp);
    let data = vec![0x55; 65_507];
    let reaction = lab.peer_sends(peer(1, 1), relayed, &data).unwrap();
    let bytes = reaction.to_client().unwrap();
    assert_eq!((&bytes[..4], &bytes[4..]), (&b"\x40\x00\xFF\xE3"[..], &data[..]));
}

fn bound(transport: Transport) -> (Lab, Client, SocketAddr) {
    bound_in(Lab::default(), transport)
}

fn bound_in(mut lab: Lab, transport: Transport) -> (Lab, Client, SocketAddr) {
    let mut client = Client::at(client(1, 1), transport);
    let relayed = client.allocate(&mut lab);
    assert_eq!(client.bind(&mut lab, 0x4000, peer(1, 1)), None);
    (lab, client, relayed)
}
