//! RFC 8656 §7.2, check 9, and RFC 8656 §8: an allocation of both families.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_relay::{AdvertisedAddress, BindFailure, Discard, EndReason, Families};
use causeway_tests::addresses::{RELAY, RELAY_V6, peer, peer_v6};
use causeway_tests::{Client, Fill, Lab, Reaction};
use causeway_wire::Method;
use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressFamily, AttributeType, EvenPort, Lifetime,
    RequestedAddressFamily, RequestedTransport,
};

#[test]
fn rfc8656_7_2_check_9_one_relayed_address_of_each_family_is_allocated() {
    for mut client in [Client::udp(1), Client::udp_v6(1), Client::tcp(1)] {
        let mut lab = Lab::default();
        let answer = client.allocate_with(&mut lab, ADDITIONAL);
        let relayed = answer.all_relayed();
        assert_eq!(relayed.iter().map(SocketAddr::ip).collect::<Vec<_>>(), [RELAY, RELAY_V6]);
        assert_eq!(
            (answer.error(), answer.address_error(), answer.lifetime()),
            (None, None, Some(600))
        );
        assert_eq!(answer.mapped(), Some(client.five_tuple.client));
        assert!(answer.is_signed_with(&client.key()));
        assert_eq!(
            (lab.server.gauges().allocations, lab.quota.total()),
            (1, 1),
            "a dual allocation is one"
        );
    }
}

#[test]
fn rfc8656_7_2_check_9_a_family_that_is_not_supported_is_told_by_440_in_the_success() {
    let mut lab = Lab::with(|setup| setup.families = Families { ipv4: true, ipv6: false });
    let mut client = Client::udp(1);
    let answer = client.allocate_with(&mut lab, ADDITIONAL);
    assert_eq!((answer.error(), answer.address_error()), (None, Some((AddressFamily::Ipv6, 440))));
    assert_eq!(answer.all_relayed().iter().map(SocketAddr::ip).collect::<Vec<_>>(), [RELAY]);
    assert_eq!(client.permit(&mut lab, &[peer_v6(1, 1)]), Some(443));
    assert_eq!(client.permit(&mut lab, &[peer(1, 1)]), None);
}

#[test]
fn rfc8656_7_2_check_9_a_family_without_ports_is_told_by_508_in_the_success() {
    for (family, has) in [(AddressFamily::Ipv6, RELAY), (AddressFamily::Ipv4, RELAY_V6)] {
        let mut lab = Lab::default();
        lab.pool.failures.insert(family, BindFailure::Capacity);
        let mut client = Client::udp(1);
        let answer = client.allocate_with(&mut lab, ADDITIONAL);
        assert_eq!((answer.error(), answer.address_error()), (None, Some((family, 508))));
        assert_eq!(answer.all_relayed().iter().map(SocketAddr::ip).collect::<Vec<_>>(), [has]);
        let permitted = [peer(1, 1), peer_v6(1, 1)].map(|peer| client.permit(&mut lab, &[peer]));
        assert_eq!(permitted, if has == RELAY { [None, Some(443)] } else { [Some(443), None] });
        client.refresh(&mut lab, 0);
        assert!(lab.pool.is_full());
    }
}

#[test]
fn rfc8656_18_12_the_reserved_bits_of_address_error_code_are_zero_and_its_phrase_is_short_utf_8() {
    let mut lab = Lab::with(|setup| setup.families.ipv6 = false);
    let answer = Client::udp(1).allocate_with(&mut lab, ADDITIONAL);
    let message = answer.message();
    let error =
        message.attributes().find(|raw| raw.kind == AttributeType::ADDRESS_ERROR_CODE).unwrap();
    assert_eq!(error.value[..4], [2, 0, 4, 40]);
    let phrase = std::str::from_utf8(&error.value[4..]).unwrap();
    assert!(!phrase.is_empty() && phrase.chars().count() < 128);
}

#[test]
fn rfc8656_7_2_check_9_without_either_family_the_answer_is_508() {
    let mut lab = Lab::default();
    lab.pool.failure = Some(BindFailure::Capacity);
    assert_eq!(Client::udp(1).allocate_with(&mut lab, ADDITIONAL).error(), Some(508));
    lab.pool.failure = Some(BindFailure::Family);
    assert_eq!(Client::udp(1).allocate_with(&mut lab, ADDITIONAL).error(), Some(440));
    assert!(lab.pool.is_full() && lab.quota.total() == 0);
    assert_eq!(lab.server.gauges().allocations, 0);
}

#[test]
fn rfc8656_7_2_check_7_without_ipv4_an_additional_family_is_440() {
    let mut lab = Lab::with(|setup| setup.families = Families { ipv4: false, ipv6: true });
    assert_eq!(
        Client::udp(1).allocate_with(&mut lab, ADDITIONAL).error(),
        Some(440),
        "REQUESTED-ADDRESS-FAMILY is absent"
    );
}

#[test]
fn rfc8656_7_2_an_even_port_is_even_in_both_families() {
    let mut lab = Lab::default();
    let even: Fill<'_> = &|w| {
        w.put(&AdditionalAddressFamily(AddressFamily::Ipv6))?
            .put(&EvenPort { reserve: false })
            .map(drop)
    };
    for host in 1..5 {
        let relayed = Client::udp(host).allocate_with(&mut lab, even).all_relayed();
        assert!(
            relayed.len() == 2 && relayed.iter().all(|address| address.port() % 2 == 0),
            "{relayed:?}"
        );
    }
}

#[test]
fn rfc8656_7_2_a_retransmission_gets_both_addresses_again() {
    for setup in [Families { ipv4: true, ipv6: true }, Families { ipv4: true, ipv6: false }] {
        let mut lab = Lab::with(|all| all.families = setup);
        let mut client = Client::udp(1);
        client.fetch_nonce(&mut lab);
        let id = client.next_transaction();
        let request = client.signed(id, Method::ALLOCATE, &|w| {
            w.put(&RequestedTransport::UDP)?
                .put(&AdditionalAddressFamily(AddressFamily::Ipv6))
                .map(drop)
        });
        let [first, again] =
            [0, 1].map(|_| lab.client_sends(&client.five_tuple, &request).answer());
        assert_eq!(first, again);
        assert_eq!(lab.server.gauges().allocations, 1);
    }
}

#[test]
fn rfc8656_6_nothing_is_relayed_before_both_sockets_stand() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    lab.pool.hold = true;
    let both: Fill<'_> = &|w| {
        w.put(&RequestedTransport::UDP)?
            .put(&AdditionalAddressFamily(AddressFamily::Ipv6))
            .map(drop)
    };
    assert_eq!(client.ask_once(&mut lab, Method::ALLOCATE, both), Reaction::Later);
    let reactions = lab.complete();
    let [Reaction::Later, Reaction::Answer(answer)] = &reactions[..] else {
        panic!("one answer, with the second: {reactions:?}")
    };
    assert_eq!(answer.all_relayed().len(), 2);
}

#[test]
fn rfc8656_9_each_family_relays_from_its_own_address() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let (ipv4, ipv6) = client.allocate_both(&mut lab);
    assert_eq!(
        client.permit(&mut lab, &[peer(1, 1), peer_v6(1, 1)]),
        None,
        "peers of both in one request"
    );
    for (relayed, peer) in [(ipv4, peer(1, 7)), (ipv6, peer_v6(1, 7))] {
        assert_eq!(
            client.send(&mut lab, peer, b"out").to_peer(),
            Some((relayed, peer, &b"out"[..]))
        );
        assert!(lab.peer_sends(peer, relayed, b"in").unwrap().to_client().is_some());
    }
    assert_eq!(client.bind(&mut lab, 0x4000, peer(2, 2)), None);
    assert_eq!(client.bind(&mut lab, 0x4001, peer_v6(2, 2)), None);
    assert_eq!(
        client.send_channel(&mut lab, 0x4000, b"x").to_peer(),
        Some((ipv4, peer(2, 2), &b"x"[..]))
    );
    assert_eq!(
        client.send_channel(&mut lab, 0x4001, b"x").to_peer(),
        Some((ipv6, peer_v6(2, 2), &b"x"[..]))
    );
}

#[test]
fn rfc8656_8_1_without_a_family_a_refresh_applies_to_both() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate_both(&mut lab);
    assert_eq!(client.refresh(&mut lab, 3600).lifetime(), Some(3600));
    lab.pass_seconds(3599);
    assert_eq!(lab.pool.free(), 2 * 100 - 2);
    let answer = client.refresh(&mut lab, 0);
    assert_eq!((answer.error(), answer.lifetime()), (None, Some(0)));
    assert!(lab.pool.is_full());
    assert_eq!(lab.ended.len(), 1);
    assert_eq!((lab.ended[0].reason, lab.ended[0].relayed.len()), (EndReason::Released, 2));
}

#[test]
fn rfc8656_8_1_with_a_family_a_refresh_applies_to_that_one() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let (ipv4, ipv6) = client.allocate_both(&mut lab);
    assert_eq!(client.refresh_one(&mut lab, AddressFamily::Ipv6, 1000).lifetime(), Some(1000));
    lab.pass_seconds(599);
    client.permit(&mut lab, &[peer(1, 1), peer_v6(1, 1)]);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    assert!(client.send(&mut lab, peer(1, 1), b"x").to_peer().is_some());
    lab.pass_seconds(1);
    assert!(lab.pool.relay(ipv4).is_none() && lab.pool.relay(ipv6).is_some(), "IPv4 has expired");
    assert_eq!(client.send(&mut lab, peer(1, 1), b"x"), Reaction::Silence(Discard::PeerFamily));
    assert_eq!(client.send_channel(&mut lab, 0x4000, b"x"), Reaction::Silence(Discard::NoChannel));
    assert!(client.send(&mut lab, peer_v6(1, 1), b"x").to_peer().is_some());
    assert_eq!((lab.server.gauges().permissions, lab.server.gauges().channels), (1, 0));
    lab.pass_seconds(399);
    assert_eq!(lab.server.gauges().allocations, 1);
    lab.pass_seconds(1);
    assert_eq!(lab.server.gauges(), causeway_relay::Gauges::default());
    assert_eq!(
        lab.ended[0].relayed[..],
        [ipv4, ipv6].map(AdvertisedAddress),
        "the account names both"
    );
}

#[test]
fn rfc8656_6_one_that_has_expired_is_not_used_even_if_nobody_called_in_time() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let (ipv4, ipv6) = client.allocate_both(&mut lab);
    client.refresh_one(&mut lab, AddressFamily::Ipv6, 1000);
    lab.pass_unnoticed(Duration::from_secs(400));
    client.bind(&mut lab, 0x4000, peer(1, 1));
    client.bind(&mut lab, 0x4001, peer_v6(1, 1));
    let relay = lab.pool.relay(ipv4).unwrap();
    lab.pass_unnoticed(Duration::from_secs(200));
    assert!(client.send(&mut lab, peer(1, 1), b"x").silence().is_some());
    assert!(client.send_channel(&mut lab, 0x4000, b"x").silence().is_some());
    assert!(lab.peer_sends_to(relay, peer(1, 1), b"x").silence().is_some());
    assert!(client.send_channel(&mut lab, 0x4001, b"x").to_peer().is_some());
    assert!(lab.peer_sends(peer_v6(1, 1), ipv6, b"x").unwrap().to_client().is_some());
    assert_eq!(client.permit(&mut lab, &[peer(1, 1)]), Some(443));
    assert!(lab.pool.relay(ipv4).is_none(), "the request removed it");
}

#[test]
fn rfc8656_8_1_deleting_one_destroys_its_permissions_and_channels_and_not_the_others() {
    for (deleted, gone, stays) in [
        (AddressFamily::Ipv4, peer(1, 1), peer_v6(1, 1)),
        (AddressFamily::Ipv6, peer_v6(1, 1), peer(1, 1)),
    ] {
        let (mut lab, mut client) = (Lab::default(), Client::udp(1));
        let (ipv4, ipv6) = client.allocate_both(&mut lab);
        let (relayed_gone, relayed_stays) =
            if deleted == AddressFamily::Ipv4 { (ipv4, ipv6) } else { (ipv6, ipv4) };
        client.bind(&mut lab, 0x4000, gone);
        client.bind(&mut lab, 0x4001, stays);
        let answer = client.refresh_one(&mut lab, deleted, 0);
        assert_eq!((answer.error(), answer.lifetime()), (None, Some(0)));
        assert_eq!(lab.peer_sends(gone, relayed_gone, b"x"), None, "its socket is closed at once");
        assert!(client.send_channel(&mut lab, 0x4000, b"x").silence().is_some());
        assert_eq!(
            (client.bind(&mut lab, 0x4000, gone), client.permit(&mut lab, &[gone])),
            (Some(443), Some(443))
        );
        assert_eq!(
            client.send_channel(&mut lab, 0x4001, b"x").to_peer(),
            Some((relayed_stays, stays, &b"x"[..]))
        );
        assert!(lab.peer_sends(stays, relayed_stays, b"x").unwrap().to_client().is_some());
        assert_eq!((lab.server.gauges().permissions, lab.server.gauges().channels), (1, 1));
        assert_eq!(
            client.refresh_one(&mut lab, deleted, 600).error(),
            Some(443),
            "the address of that family is gone"
        );
        assert_eq!(client.refresh(&mut lab, 600).error(), None);
        assert!(lab.ended.is_empty());
        client.refresh(&mut lab, 0);
        assert!(lab.pool.is_full() && lab.quota.total() == 0);
    }
}

#[test]
fn rfc8656_8_1_deleting_one_after_the_other_ends_the_allocation() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate_both(&mut lab);
    assert_eq!(client.refresh_one(&mut lab, AddressFamily::Ipv4, 0).error(), None);
    assert_eq!(client.refresh_one(&mut lab, AddressFamily::Ipv6, 0).error(), None);
    assert_eq!(client.refresh(&mut lab, 600).error(), Some(437));
    assert!(lab.pool.is_full() && lab.quota.total() == 0);
}

#[test]
fn rfc8656_8_2_a_deletion_of_one_that_is_sent_again_is_answered_the_same() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate_both(&mut lab);
    let id = client.next_transaction();
    let request = client.signed(id, Method::REFRESH, &|w| {
        w.put(&Lifetime(0))?.put(&RequestedAddressFamily(AddressFamily::Ipv6)).map(drop)
    });
    let [first, again] = [0, 1].map(|_| lab.client_sends(&client.five_tuple, &request).answer());
    assert_eq!((first.error(), &first), (None, &again));
    assert_eq!(lab.server.gauges().allocations, 1);
}

#[test]
fn rfc8656_6_a_dual_allocation_is_restored_whole() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let (ipv4, ipv6) = client.allocate_both(&mut lab);
    client.refresh_one(&mut lab, AddressFamily::Ipv6, 1000);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    client.bind(&mut lab, 0x4001, peer_v6(1, 1));
    lab.pass_seconds(100);
    let mut next = lab.succeed();
    assert_eq!(
        client.send_channel(&mut next, 0x4000, b"x").to_peer(),
        Some((ipv4, peer(1, 1), &b"x"[..]))
    );
    assert!(next.peer_sends(peer_v6(1, 1), ipv6, b"x").unwrap().to_client().is_some());
    next.pass_seconds(500);
    assert!(
        next.pool.relay(ipv4).is_none() && next.pool.relay(ipv6).is_some(),
        "each with its remaining lifetime"
    );
    next.pass_seconds(400);
    assert!(
        next.pool.is_full() && next.ended[0].relayed[..] == [ipv4, ipv6].map(AdvertisedAddress)
    );
}

#[test]
fn rfc8656_6_what_of_a_dual_allocation_cannot_be_restored_is_left_behind() {
    for (lost, relayed) in [(AddressFamily::Ipv4, RELAY_V6), (AddressFamily::Ipv6, RELAY)] {
        let (mut lab, mut client) = (Lab::default(), Client::udp(1));
        client.allocate_both(&mut lab);
        client.bind(&mut lab, 0x4000, peer(1, 1));
        client.bind(&mut lab, 0x4001, peer_v6(1, 1));
        let id = lab.server.allocation(&client.five_tuple).unwrap();
        let record = lab.server.export(lab.now(), id).unwrap();
        let mut next = Lab::default();
        next.pool.failures.insert(lost, BindFailure::Capacity);
        let id = next.server.adopt(next.now(), &record).unwrap();
        next.time_out();
        assert_eq!(
            next.server.relayed(id).iter().map(|address| address.ip()).collect::<Vec<_>>(),
            [relayed]
        );
        assert_eq!((next.server.gauges().permissions, next.server.gauges().channels), (1, 1));
        let relays = [0x4000, 0x4001]
            .map(|number| client.send_channel(&mut next, number, b"x").to_peer().is_some());
        assert_eq!(relays, [lost == AddressFamily::Ipv6, lost == AddressFamily::Ipv4]);
        next.pass_seconds(600);
        assert!(next.pool.is_full() && next.quota.total() == 0);
    }
}

const ADDITIONAL: Fill<'static> =
    &|w| w.put(&AdditionalAddressFamily(AddressFamily::Ipv6)).map(drop);
