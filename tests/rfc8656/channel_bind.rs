//! RFC 8656 §12 and §12.2: channels and ChannelBind.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_relay::{Limits, Transport};
use causeway_tests::addresses::{peer, peer_v6};
use causeway_tests::{Client, Fill, LIMITS, Lab};
use causeway_wire::attribute::{AttributeType, ChannelNumberAttribute, XorPeerAddress};
use causeway_wire::{ChannelRange, Method};

#[test]
fn rfc8656_12_2_channel_number_and_peer_are_both_required() {
    let (mut lab, mut client, _) = allocated();
    let invalid: [Fill<'_>; 6] = [
        &|_| Ok(()),
        &|w| w.put(&ChannelNumberAttribute(0x4000)).map(drop),
        &|w| w.put(&XorPeerAddress(peer(1, 1))).map(drop),
        &|w| {
            w.put_raw(AttributeType::CHANNEL_NUMBER, &[0x40, 0])?
                .put(&XorPeerAddress(peer(1, 1)))
                .map(drop)
        },
        &|w| {
            w.put(&ChannelNumberAttribute(0x4000))?
                .put_raw(AttributeType::XOR_PEER_ADDRESS, &[0, 1, 0, 0])
                .map(drop)
        },
        &|w| {
            w.put(&ChannelNumberAttribute(0x4000))?
                .put_raw(AttributeType::XOR_PEER_ADDRESS, &[0, 7, 0, 0, 1, 2, 3, 4])
                .map(drop)
        },
    ];
    for fill in invalid {
        assert_eq!(client.ask(&mut lab, Method::CHANNEL_BIND, fill).answer().error(), Some(400));
    }
    assert_eq!((lab.server.gauges().channels, lab.server.gauges().permissions), (0, 0));
}

#[test]
fn rfc8656_12_2_the_number_is_in_0x4000_through_0x4fff() {
    let (mut lab, mut client, _) = allocated();
    for (port, number, code) in [
        (1, 0, Some(400)),
        (2, 0x3FFF, Some(400)),
        (3, 0x4000, None),
        (4, 0x4FFF, None),
        (5, 0x5000, Some(400)),
        (6, 0xFFFF, Some(400)),
    ] {
        assert_eq!(client.bind(&mut lab, number, peer(1, port)), code, "{number:#06x}");
    }
    assert_eq!(lab.server.gauges().channels, 2);
}

#[test]
fn rfc8656_12_old_clients_get_numbers_up_to_0x7ffe_where_the_operator_allows_it() {
    let mut lab = Lab::with(|setup| setup.channels = ChannelRange::Rfc5766);
    let mut client = Client::udp(1);
    let relayed = client.allocate(&mut lab);
    for (port, number, code) in
        [(1, 0x5000, None), (2, 0x7FFE, None), (3, 0x7FFF, Some(400)), (4, 0x3FFF, Some(400))]
    {
        assert_eq!(client.bind(&mut lab, number, peer(1, port)), code, "{number:#06x}");
    }
    assert_eq!(
        client.send_channel(&mut lab, 0x7FFE, b"x").to_peer(),
        Some((relayed, peer(1, 2), &b"x"[..]))
    );
}

#[test]
fn rfc8656_12_2_a_number_that_is_bound_to_another_address_is_400() {
    let (mut lab, mut client, relayed) = allocated();
    assert_eq!(client.bind(&mut lab, 0x4000, peer(1, 1)), None);
    assert_eq!(client.bind(&mut lab, 0x4000, peer(2, 1)), Some(400));
    assert_eq!(
        client.bind(&mut lab, 0x4000, peer(1, 2)),
        Some(400),
        "another port is another transport address"
    );
    assert_eq!(lab.server.gauges().permissions, 1, "400 installs no permission");
    assert_eq!(
        client.send_channel(&mut lab, 0x4000, b"x").to_peer(),
        Some((relayed, peer(1, 1), &b"x"[..]))
    );
}

#[test]
fn rfc8656_12_2_an_address_that_is_bound_to_another_number_is_400() {
    let (mut lab, mut client, _) = allocated();
    assert_eq!(client.bind(&mut lab, 0x4000, peer(1, 1)), None);
    assert_eq!(client.bind(&mut lab, 0x4001, peer(1, 1)), Some(400));
    assert_eq!(client.bind(&mut lab, 0x4001, peer(1, 2)), None, "another port of the same address");
}

#[test]
fn rfc8656_12_2_binding_again_refreshes_channel_and_permission() {
    let (mut lab, mut client, relayed) = allocated();
    client.refresh(&mut lab, 3600);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    lab.pass_seconds(599);
    assert_eq!(client.bind(&mut lab, 0x4000, peer(1, 1)), None);
    lab.pass_seconds(299);
    assert!(lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().to_client().is_some());
    lab.pass_seconds(300);
    assert!(client.send_channel(&mut lab, 0x4000, b"x").to_peer().is_some());
    lab.pass_seconds(1);
    assert!(client.send_channel(&mut lab, 0x4000, b"x").silence().is_some());
    lab.pass_seconds(60);
    assert_eq!(lab.server.gauges().channels, 0, "expired entries are cleared within a minute");
}

#[test]
fn rfc8656_12_a_channel_lasts_600_seconds_and_not_a_moment_more() {
    let (mut lab, mut client, _) = allocated();
    client.refresh(&mut lab, 3600);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    lab.pass_unnoticed(Duration::from_secs(600) - Duration::from_nanos(1));
    assert!(client.send_channel(&mut lab, 0x4000, b"x").to_peer().is_some());
    assert_eq!(client.bind(&mut lab, 0x4000, peer(2, 1)), Some(400));
    lab.pass_unnoticed(Duration::from_nanos(1));
    assert!(client.send_channel(&mut lab, 0x4000, b"x").silence().is_some());
}

#[test]
fn rfc8656_12_once_unbound_number_and_address_can_be_bound_to_others() {
    let (mut lab, mut client, relayed) = allocated();
    client.refresh(&mut lab, 3600);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    client.bind(&mut lab, 0x4001, peer(2, 2));
    lab.pass_unnoticed(Duration::from_secs(600));
    assert_eq!(client.bind(&mut lab, 0x4000, peer(2, 2)), None);
    assert_eq!(client.bind(&mut lab, 0x4001, peer(1, 1)), None);
    assert_eq!(
        client.send_channel(&mut lab, 0x4000, b"x").to_peer(),
        Some((relayed, peer(2, 2), &b"x"[..]))
    );
    assert_eq!(
        client.send_channel(&mut lab, 0x4001, b"x").to_peer(),
        Some((relayed, peer(1, 1), &b"x"[..]))
    );
    for (from, number) in [(peer(2, 2), 0x00), (peer(1, 1), 0x01)] {
        let reaction = lab.peer_sends(from, relayed, b"x").unwrap();
        assert_eq!(reaction.to_client(), Some(&[0x40, number, 0, 1, b'x'][..]), "{from}");
    }
    assert_eq!(lab.server.gauges().channels, 2);
}

#[test]
fn rfc8656_12_channels_of_different_allocations_are_unrelated() {
    let (mut lab, mut first, _) = allocated();
    let mut second = Client::at(first.five_tuple.client, Transport::Tcp);
    let relayed = second.allocate(&mut lab);
    first.bind(&mut lab, 0x4000, peer(1, 1));
    assert_eq!(second.bind(&mut lab, 0x4000, peer(2, 2)), None);
    assert_eq!(second.bind(&mut lab, 0x4001, peer(1, 1)), None);
    assert_eq!(
        second.send_channel(&mut lab, 0x4000, b"x").to_peer(),
        Some((relayed, peer(2, 2), &b"x"[..]))
    );
}

#[test]
fn rfc8656_12_2_another_family_is_443() {
    let (mut lab, mut client, _) = allocated();
    assert_eq!(client.bind(&mut lab, 0x4000, peer_v6(1, 1)), Some(443));
    assert_eq!(client.bind(&mut lab, 0x4000, "[::ffff:20.0.0.1]:1".parse().unwrap()), Some(443));
}

#[test]
fn rfc8656_12_2_a_peer_that_is_not_allowed_is_403() {
    let (mut lab, mut client, _) = allocated();
    for denied in ["10.1.2.3:1", "127.0.0.1:1", "9.9.9.9:3478", "20.0.0.1:0"] {
        assert_eq!(client.bind(&mut lab, 0x4000, denied.parse().unwrap()), Some(403), "{denied}");
    }
    assert_eq!((lab.server.gauges().channels, lab.server.gauges().permissions), (0, 0));
}

#[test]
fn rfc8656_12_2_400_443_403_and_508_in_this_order() {
    let mut lab = Lab::with(|setup| setup.limits = Limits { channels_per_allocation: 1, ..LIMITS });
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    assert_eq!(
        client.bind(&mut lab, 0x4000, peer_v6(1, 1)),
        Some(400),
        "the number is bound, and the family is wrong, and there is no room"
    );
    assert_eq!(client.bind(&mut lab, 0x5000, "127.0.0.1:1".parse().unwrap()), Some(400));
    assert_eq!(client.bind(&mut lab, 0x4001, "[::1]:1".parse().unwrap()), Some(443), "denied, too");
    assert_eq!(
        client.bind(&mut lab, 0x4001, "127.0.0.1:1".parse().unwrap()),
        Some(403),
        "there is no room, too"
    );
    assert_eq!(client.bind(&mut lab, 0x4001, peer(1, 2)), Some(508));
}

#[test]
fn rfc8656_12_2_508_binds_nothing_and_installs_no_permission() {
    let limits = Limits { channels_per_allocation: 2, permissions_per_allocation: 2, ..LIMITS };
    let mut lab = Lab::with(|setup| setup.limits = limits);
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    client.permit(&mut lab, &[peer(1, 1), peer(2, 1)]);
    assert_eq!(client.bind(&mut lab, 0x4000, peer(3, 1)), Some(508), "no room for its permission");
    assert_eq!((lab.server.gauges().channels, lab.server.gauges().permissions), (0, 2));
    assert_eq!(
        (client.bind(&mut lab, 0x4000, peer(1, 1)), client.bind(&mut lab, 0x4001, peer(1, 2))),
        (None, None)
    );
    assert_eq!(client.bind(&mut lab, 0x4002, peer(2, 2)), Some(508), "no room for the channel");
    assert_eq!(client.bind(&mut lab, 0x4000, peer(1, 1)), None, "refreshing needs none");
}

#[test]
fn rfc8656_12_2_a_retransmission_refreshes_and_gets_the_same_answer() {
    let (mut lab, mut client, _) = allocated();
    let id = client.next_transaction();
    let request = client.signed(id, Method::CHANNEL_BIND, &|w| {
        w.put(&ChannelNumberAttribute(0x4000))?.put(&XorPeerAddress(peer(1, 1))).map(drop)
    });
    let answers: Vec<_> =
        (0..3).map(|_| lab.client_sends(&client.five_tuple, &request).answer()).collect();
    assert!(answers[0].error().is_none() && answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(lab.server.gauges().channels, 1);
}

#[test]
fn rfc8656_18_1_the_reserved_half_of_channel_number_is_ignored() {
    let (mut lab, mut client, _) = allocated();
    let fill: Fill<'_> = &|w| {
        w.put_raw(AttributeType::CHANNEL_NUMBER, &[0x40, 0, 0xFF, 0xFF])?
            .put(&XorPeerAddress(peer(1, 1)))
            .map(drop)
    };
    assert_eq!(client.ask(&mut lab, Method::CHANNEL_BIND, fill).answer().error(), None);
}

#[test]
fn rfc8656_12_an_allocation_can_have_as_many_channels_as_its_limit_says() {
    let (mut lab, mut client, relayed) = allocated();
    for number in 0..256 {
        assert_eq!(client.bind(&mut lab, 0x4000 + number, peer(1, 1 + number)), None);
    }
    for number in 0..256 {
        let expected = Some((relayed, peer(1, 1 + number), &b"x"[..]));
        assert_eq!(client.send_channel(&mut lab, 0x4000 + number, b"x").to_peer(), expected);
        let reaction = lab.peer_sends(peer(1, 1 + number), relayed, b"x").unwrap();
        assert_eq!(reaction.to_client().unwrap()[..2], (0x4000 + number).to_be_bytes());
    }
    assert_eq!(client.bind(&mut lab, 0x4100, peer(1, 999)), Some(508));
}

fn allocated() -> (Lab, Client, SocketAddr) {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    (lab, client, relayed)
}
