//! RFC 8656 §8.2: Refresh.

use std::time::Duration;

use causeway_relay::EndReason;
use causeway_tests::addresses::peer;
use causeway_tests::{Client, Lab};
use causeway_wire::Method;
use causeway_wire::attribute::{
    AddressFamily, AttributeType, Lifetime, RequestedAddressFamily, RequestedTransport,
};

#[test]
fn rfc8656_8_2_the_lifetime_is_computed_as_an_allocates_is() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    for (asked, granted) in [(1, 600), (600, 600), (700, 700), (3600, 3600), (u32::MAX, 3600)] {
        assert_eq!(client.refresh(&mut lab, asked).lifetime(), Some(granted), "asked for {asked}");
    }
    let answer = client.ask(&mut lab, Method::REFRESH, &|_| Ok(())).answer();
    assert_eq!(
        (answer.error(), answer.lifetime()),
        (None, Some(600)),
        "without LIFETIME the default"
    );
}

#[test]
fn rfc8656_8_2_a_refresh_sets_the_time_to_expiry() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    lab.pass_seconds(599);
    assert_eq!(client.refresh(&mut lab, 3600).error(), None);
    lab.pass_seconds(3599);
    assert_eq!(client.refresh(&mut lab, 600).lifetime(), Some(600));
    lab.pass(Duration::from_millis(599_999));
    assert_eq!(lab.server.gauges().allocations, 1);
    lab.pass(Duration::from_millis(1));
    assert_eq!(lab.server.gauges().allocations, 0);
}

#[test]
fn rfc8656_8_2_a_shorter_lifetime_counts_too() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    client.refresh(&mut lab, 3600);
    client.refresh(&mut lab, 600);
    lab.pass_seconds(600);
    assert_eq!(lab.server.gauges().allocations, 0);
}

#[test]
fn rfc8656_8_2_lifetime_zero_deletes_the_allocation() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    let answer = client.refresh(&mut lab, 0);
    assert_eq!((answer.error(), answer.lifetime()), (None, Some(0)));
    assert!(answer.is_signed_with(&client.key()));
    assert!(lab.pool.is_full());
    assert_eq!(
        lab.ended.iter().map(|ended| ended.reason).collect::<Vec<_>>(),
        [EndReason::Released]
    );
}

#[test]
fn rfc8656_8_2_lifetime_zero_again_is_437() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    let id = client.next_transaction();
    let request = client.signed(id, Method::REFRESH, &|w| w.put(&Lifetime(0)).map(drop));
    assert_eq!(lab.client_sends(&client.five_tuple, &request).answer().error(), None);
    assert_eq!(
        lab.client_sends(&client.five_tuple, &request).answer().error(),
        Some(437),
        "a retransmission"
    );
}

#[test]
fn rfc8656_8_2_a_family_that_is_not_the_allocations_is_443() {
    let mut lab = Lab::default();
    for (family, other) in
        [(AddressFamily::Ipv4, AddressFamily::Ipv6), (AddressFamily::Ipv6, AddressFamily::Ipv4)]
    {
        let mut client = Client::udp(if family == AddressFamily::Ipv4 { 4 } else { 6 });
        let allocated = client.ask(&mut lab, Method::ALLOCATE, &|w| {
            w.put(&RequestedTransport::UDP)?.put(&RequestedAddressFamily(family)).map(drop)
        });
        assert_eq!(allocated.answer().error(), None);
        let mut refresh = |family, lifetime| {
            let fill = client.ask(&mut lab, Method::REFRESH, &|w| {
                w.put(&RequestedAddressFamily(family))?.put(&Lifetime(lifetime)).map(drop)
            });
            fill.answer().error()
        };
        assert_eq!(
            (refresh(other, 0), refresh(other, 600), refresh(family, 600)),
            (Some(443), Some(443), None)
        );
        assert_eq!(lab.server.gauges().allocations, 1, "443 deletes nothing");
        assert_eq!(client.refresh(&mut lab, 0).error(), None);
    }
}

#[test]
fn rfc8656_8_2_malformed_attributes_are_refused_and_change_nothing() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    for (kind, value, code) in [
        (AttributeType::LIFETIME, &[0, 0][..], 400),
        (AttributeType::REQUESTED_ADDRESS_FAMILY, &[1], 400),
        (AttributeType::REQUESTED_ADDRESS_FAMILY, &[9, 0, 0, 0], 443),
        (AttributeType(0x7FFF), &[], 420),
    ] {
        let answer =
            client.ask(&mut lab, Method::REFRESH, &|w| w.put_raw(kind, value).map(drop)).answer();
        assert_eq!(answer.error(), Some(code), "{kind:?}");
    }
    assert_eq!(lab.server.gauges().allocations, 1);
}

#[test]
fn rfc8656_8_2_a_refresh_refreshes_neither_permissions_nor_channels() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    let relayed = client.allocate(&mut lab);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    lab.pass_seconds(299);
    client.refresh(&mut lab, 3600);
    lab.pass_seconds(1);
    assert!(
        lab.peer_sends(peer(1, 2), relayed, b"x").unwrap().silence().is_some(),
        "the permission has expired"
    );
    lab.pass_seconds(299);
    client.refresh(&mut lab, 3600);
    assert!(client.send_channel(&mut lab, 0x4000, b"x").to_peer().is_some());
    lab.pass_seconds(1);
    assert!(
        client.send_channel(&mut lab, 0x4000, b"x").silence().is_some(),
        "the channel has expired"
    );
}

#[test]
fn rfc8656_8_2_the_allocations_of_other_clients_go_on() {
    let mut lab = Lab::default();
    let (mut first, mut second) = (Client::udp(1), Client::udp(2));
    first.allocate(&mut lab);
    let relayed = second.allocate(&mut lab);
    second.permit(&mut lab, &[peer(1, 1)]);
    first.refresh(&mut lab, 0);
    assert!(second.send(&mut lab, peer(1, 1), b"x").to_peer().is_some());
    assert!(lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().to_client().is_some());
}
