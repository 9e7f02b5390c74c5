//! RFC 8656 §9 and §10.2: permissions and CreatePermission.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_relay::{Discard, Limits};
use causeway_tests::addresses::{peer, peer_v6};
use causeway_tests::{Client, LIMITS, Lab, Reaction};
use causeway_wire::attribute::{
    AddressFamily, AttributeType, RequestedAddressFamily, RequestedTransport, XorPeerAddress,
};
use causeway_wire::{Class, Method};

#[test]
fn rfc8656_9_a_permission_lasts_300_seconds_and_not_a_moment_more() {
    let (mut lab, mut client, relayed) = allocated();
    assert_eq!(client.permit(&mut lab, &[peer(1, 1)]), None);
    lab.pass_unnoticed(Duration::from_secs(300) - Duration::from_nanos(1));
    assert!(lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().to_client().is_some());
    assert!(client.send(&mut lab, peer(1, 1), b"x").to_peer().is_some());
    lab.pass_unnoticed(Duration::from_nanos(1));
    assert_eq!(
        lab.peer_sends(peer(1, 1), relayed, b"x"),
        Some(Reaction::Silence(Discard::NoPermission))
    );
    assert_eq!(client.send(&mut lab, peer(1, 1), b"x"), Reaction::Silence(Discard::NoPermission));
}

#[test]
fn rfc8656_9_only_requests_refresh_a_permission() {
    let (mut lab, mut client, relayed) = allocated();
    client.permit(&mut lab, &[peer(1, 1)]);
    for _ in 0..29 {
        lab.pass_seconds(10);
        assert!(client.send(&mut lab, peer(1, 1), b"x").to_peer().is_some());
        assert!(lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().to_client().is_some());
    }
    lab.pass_seconds(10);
    assert!(client.send(&mut lab, peer(1, 1), b"x").silence().is_some(), "data do not refresh it");
}

#[test]
fn rfc8656_9_create_permission_and_channel_bind_reset_its_time() {
    let (mut lab, mut client, relayed) = allocated();
    client.permit(&mut lab, &[peer(1, 1)]);
    lab.pass_seconds(299);
    client.permit(&mut lab, &[peer(1, 9)]);
    lab.pass_seconds(299);
    client.bind(&mut lab, 0x4000, peer(1, 5));
    lab.pass_seconds(1);
    client.refresh(&mut lab, 3600);
    assert_eq!(lab.server.gauges().permissions, 1, "one address, one permission");
    lab.pass_seconds(298);
    assert!(lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().to_client().is_some());
    lab.pass_seconds(1);
    assert!(lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().silence().is_some());
}

#[test]
fn rfc8656_9_only_addresses_are_compared() {
    let (mut lab, mut client, relayed) = allocated();
    client.permit(&mut lab, &[peer(1, 1)]);
    for port in [1, 2, 53, 65_535] {
        assert!(lab.peer_sends(peer(1, port), relayed, b"x").unwrap().to_client().is_some());
        assert!(client.send(&mut lab, peer(1, port), b"x").to_peer().is_some());
    }
    assert_eq!(
        lab.peer_sends(peer(2, 1), relayed, b"x"),
        Some(Reaction::Silence(Discard::NoPermission))
    );
}

#[test]
fn rfc8656_9_permissions_of_different_allocations_are_unrelated() {
    let (mut lab, mut first, _) = allocated();
    first.permit(&mut lab, &[peer(1, 1)]);
    let relayed = Client::udp(2).allocate(&mut lab);
    assert!(lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().silence().is_some());
}

#[test]
fn rfc8656_10_2_a_request_without_a_peer_or_with_an_invalid_one_is_400() {
    let (mut lab, mut client, _) = allocated();
    assert_eq!(client.permit(&mut lab, &[]), Some(400));
    for value in [
        &[][..],
        &[0, 1, 0, 0],
        &[0, 1, 0, 0, 1, 2, 3, 4, 5],
        &[0, 2, 0, 0, 1, 2, 3, 4],
        &[0, 3, 0, 0, 1, 2, 3, 4],
    ] {
        let answer = client.ask(&mut lab, Method::CREATE_PERMISSION, &|w| {
            w.put(&XorPeerAddress(peer(1, 1)))?
                .put_raw(AttributeType::XOR_PEER_ADDRESS, value)
                .map(drop)
        });
        assert_eq!(answer.answer().error(), Some(400), "{value:?}");
    }
    assert_eq!(lab.server.gauges().permissions, 0, "not even the valid one is installed");
}

#[test]
fn rfc8656_10_2_several_peers_get_a_permission_each() {
    let (mut lab, mut client, relayed) = allocated();
    let peers: Vec<SocketAddr> = (1..=20).map(|host| peer(host, 0)).collect();
    assert_eq!(client.permit(&mut lab, &peers), None, "the port is ignored, and may be 0");
    assert_eq!(lab.server.gauges().permissions, 20);
    for host in 1..=20 {
        assert!(lab.peer_sends(peer(host, 7), relayed, b"x").unwrap().to_client().is_some());
    }
}

#[test]
fn rfc8656_10_2_another_family_is_443_and_installs_nothing() {
    let (mut lab, mut client, _) = allocated();
    assert_eq!(client.permit(&mut lab, &[peer(1, 1), peer_v6(1, 1)]), Some(443));
    assert_eq!(
        client.permit(&mut lab, &["[::ffff:20.0.0.1]:1".parse().unwrap()]),
        Some(443),
        "a mapped address has neither family"
    );
    let mut v6 = Client::udp(6);
    v6.ask(&mut lab, Method::ALLOCATE, &|w| {
        w.put(&RequestedTransport::UDP)?.put(&RequestedAddressFamily(AddressFamily::Ipv6)).map(drop)
    });
    assert_eq!(v6.permit(&mut lab, &[peer(1, 1)]), Some(443));
    assert_eq!(v6.permit(&mut lab, &["[::ffff:20.0.0.1]:1".parse().unwrap()]), Some(443));
    assert_eq!(lab.server.gauges().permissions, 0);
    assert_eq!(v6.permit(&mut lab, &[peer_v6(1, 1)]), None);
}

#[test]
fn rfc8656_10_2_a_peer_that_is_not_allowed_is_403_and_installs_nothing() {
    let (mut lab, mut client, _) = allocated();
    assert_eq!(client.permit(&mut lab, &[peer(1, 1), "10.1.2.3:1".parse().unwrap()]), Some(403));
    assert_eq!(lab.server.gauges().permissions, 0);
}

#[test]
fn rfc8656_10_2_400_443_and_403_in_this_order() {
    let (mut lab, mut client, _) = allocated();
    let (denied, other_family) = ("10.1.2.3:1".parse().unwrap(), peer_v6(1, 1));
    assert_eq!(client.permit(&mut lab, &[denied, other_family]), Some(443));
    let answer = client.ask(&mut lab, Method::CREATE_PERMISSION, &|w| {
        w.put(&XorPeerAddress(denied))?
            .put(&XorPeerAddress(other_family))?
            .put_raw(AttributeType::XOR_PEER_ADDRESS, &[])
            .map(drop)
    });
    assert_eq!(answer.answer().error(), Some(400));
}

#[test]
fn rfc8656_10_2_beyond_the_capacity_it_is_508_for_all_or_none() {
    let mut lab =
        Lab::with(|setup| setup.limits = Limits { permissions_per_allocation: 3, ..LIMITS });
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    assert_eq!(client.permit(&mut lab, &[peer(1, 1), peer(2, 1)]), None);
    assert_eq!(client.permit(&mut lab, &[peer(3, 1), peer(4, 1)]), Some(508));
    assert_eq!(lab.server.gauges().permissions, 2);
    assert_eq!(
        client.permit(&mut lab, &[peer(1, 1), peer(2, 1), peer(3, 1)]),
        None,
        "two of them exist already"
    );
    lab.pass_unnoticed(Duration::from_secs(300));
    assert_eq!(
        client.permit(&mut lab, &[peer(4, 1), peer(5, 1), peer(6, 1)]),
        None,
        "an expired one makes room"
    );
    assert_eq!(lab.server.gauges().permissions, 3);
}

#[test]
fn rfc8656_10_2_a_retransmission_refreshes_and_gets_the_same_answer() {
    let (mut lab, mut client, _) = allocated();
    let id = client.next_transaction();
    let request = client
        .signed(id, Method::CREATE_PERMISSION, &|w| w.put(&XorPeerAddress(peer(1, 1))).map(drop));
    let answers: Vec<_> =
        (0..3).map(|_| lab.client_sends(&client.five_tuple, &request).answer()).collect();
    assert_eq!((answers[0].error(), lab.server.gauges().permissions), (None, 1));
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(answers[0].message().class(), Class::SuccessResponse);
}

fn allocated() -> (Lab, Client, SocketAddr) {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    (lab, client, relayed)
}
