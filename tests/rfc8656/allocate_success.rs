//! RFC 8656 §7.2: the properties of a new allocation.

use std::collections::BTreeSet;
use std::time::Duration;

use causeway_relay::{AdvertisedAddress, EndReason, Limits, Transport};
use causeway_tests::addresses::{RELAY, RELAY_V6, client, peer};
use causeway_tests::{Answer, Client, Fill, LIMITS, Lab, Reaction};
use causeway_wire::Method;
use causeway_wire::attribute::{
    AddressFamily, AttributeType, Lifetime, RequestedAddressFamily, RequestedTransport,
};

#[test]
fn rfc8656_7_2_the_success_response_has_relayed_address_lifetime_and_mapped_address() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    let answer = allocate(&mut client, &mut lab, None);
    assert_eq!(
        answer.relayed().map(|relayed| relayed.ip()),
        Some(RELAY),
        "as advertised, not as bound"
    );
    assert_eq!((answer.lifetime(), answer.mapped()), (Some(600), Some(client.five_tuple.client)));
    assert!(answer.is_signed_with(&client.key()));
}

#[test]
fn rfc8656_7_2_a_relayed_address_is_of_the_family_that_was_asked_for() {
    for (family, ip) in
        [(None, RELAY), (Some(AddressFamily::Ipv4), RELAY), (Some(AddressFamily::Ipv6), RELAY_V6)]
    {
        for mut client in [Client::udp(1), Client::udp_v6(1)] {
            let mut lab = Lab::default();
            let answer = client.ask(&mut lab, Method::ALLOCATE, &|w| {
                w.put(&RequestedTransport::UDP)?;
                family.map_or(Ok(()), |family| w.put(&RequestedAddressFamily(family)).map(drop))
            });
            assert_eq!(
                answer.answer().relayed().map(|relayed| relayed.ip()),
                Some(ip),
                "absent means IPv4"
            );
        }
    }
}

#[test]
fn rfc8656_18_6_the_reserved_bits_are_ignored() {
    let mut lab = Lab::default();
    let answer = Client::udp(1).allocate_with(&mut lab, &|w| {
        w.put_raw(AttributeType::REQUESTED_ADDRESS_FAMILY, &[2, 0xFF, 0xFF, 0xFF]).map(drop)
    });
    assert_eq!(answer.relayed().map(|relayed| relayed.ip()), Some(RELAY_V6));
    let both = Client::udp(2).allocate_with(&mut lab, &|w| {
        w.put_raw(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[2, 0xFF, 0xFF, 0xFF]).map(drop)
    });
    assert_eq!(both.all_relayed().len(), 2, "RFC 8656 §18.11: encoded in the same way");
}

#[test]
fn rfc8656_18_8_the_reserved_bits_of_requested_transport_are_ignored() {
    let mut lab = Lab::default();
    let fill: Fill<'_> =
        &|w| w.put_raw(AttributeType::REQUESTED_TRANSPORT, &[17, 1, 2, 3]).map(drop);
    assert_eq!(Client::udp(1).ask(&mut lab, Method::ALLOCATE, fill).answer().error(), None);
}

#[test]
fn rfc8656_7_2_the_maximum_lifetime_is_an_hour_unless_the_operator_wants_another() {
    let defaults = include_str!("../../turnd/src/config/default.toml");
    for (line, source) in [
        ("#max_lifetime = \"1h\"", "no more than 3600 seconds (RFC 8656 §7.2)"),
        ("#default_lifetime = \"10m\"", "RFC 8656 §6"),
    ] {
        assert!(defaults.lines().any(|other| other == line), "{line}: {source}");
    }
}

#[test]
fn rfc8656_7_2_without_a_family_an_ipv4_address_is_allocated_whatever_the_clients_is() {
    for mut client in [Client::udp(1), Client::udp_v6(1)] {
        let relayed = client.allocate(&mut Lab::default());
        assert_eq!(relayed.ip(), RELAY);
    }
}

#[test]
fn rfc8656_7_2_a_lifetime_is_at_least_the_default_and_at_most_the_maximum() {
    for (asked, granted) in [
        (None, 600),
        (Some(0), 600),
        (Some(1), 600),
        (Some(599), 600),
        (Some(600), 600),
        (Some(601), 601),
        (Some(3599), 3599),
        (Some(3600), 3600),
        (Some(3601), 3600),
        (Some(u32::MAX), 3600),
    ] {
        let mut lab = Lab::default();
        let mut client = Client::udp(1);
        assert_eq!(
            allocate(&mut client, &mut lab, asked).lifetime(),
            Some(granted),
            "asked for {asked:?}"
        );
        lab.pass(Duration::from_secs(granted.into()) - Duration::from_nanos(1));
        assert_eq!(lab.server.gauges().allocations, 1);
        lab.pass(Duration::from_nanos(1));
        assert_eq!(lab.server.gauges().allocations, 0, "after {granted} s");
    }
}

#[test]
fn rfc8656_7_2_a_maximum_below_the_default_yields_the_default() {
    let limits = Limits { max_lifetime: Duration::from_secs(60), ..LIMITS };
    let mut lab = Lab::with(|setup| setup.limits = limits);
    assert_eq!(allocate(&mut Client::udp(1), &mut lab, Some(1000)).lifetime(), Some(600));
}

#[test]
fn rfc8656_7_2_the_time_to_expiry_is_what_the_answer_says_when_it_is_sent() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    lab.pool.hold = true;
    client.ask_once(&mut lab, Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop));
    lab.pass_seconds(5);
    let [Reaction::Answer(answer)] = &lab.complete()[..] else { panic!("one answer") };
    assert_eq!(answer.lifetime(), Some(600));
    lab.pass_seconds(599);
    assert_eq!(lab.server.gauges().allocations, 1);
    lab.pass_seconds(1);
    assert_eq!(lab.server.gauges().allocations, 0);
}

#[test]
fn rfc8656_6_an_allocation_that_has_expired_is_gone_with_all_that_it_had() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    let relayed = client.allocate(&mut lab);
    client.permit(&mut lab, &[peer(1, 1)]);
    client.bind(&mut lab, 0x4000, peer(2, 2));
    lab.pass_seconds(600);
    assert_eq!(lab.server.gauges(), causeway_relay::Gauges::default());
    assert!(lab.pool.is_full() && lab.quota.total() == 0);
    assert_eq!(lab.peer_sends(peer(1, 1), relayed, b"late"), None);
    assert_eq!(client.permit(&mut lab, &[peer(1, 1)]), Some(437));
    let [ended] = &lab.ended[..] else { panic!("one account, not {:?}", lab.ended) };
    assert_eq!(
        (ended.reason, &ended.relayed[..], ended.duration),
        (EndReason::Expired, &[AdvertisedAddress(relayed)][..], Duration::from_secs(600))
    );
}

#[test]
fn rfc8656_6_an_expired_allocation_is_not_used_even_if_nobody_called_in_time() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    let relayed = client.allocate(&mut lab);
    let relay = lab.pool.relay(relayed).unwrap();
    client.bind(&mut lab, 0x4000, peer(1, 1));
    lab.pass_unnoticed(Duration::from_secs(400));
    client.bind(&mut lab, 0x4000, peer(1, 1));
    lab.pass_unnoticed(Duration::from_secs(200) - Duration::from_nanos(1));
    assert!(lab.peer_sends_to(relay, peer(1, 1), b"in time").to_client().is_some());
    assert!(client.send_channel(&mut lab, 0x4000, b"in time").to_peer().is_some());
    lab.pass_unnoticed(Duration::from_nanos(1));
    assert!(lab.peer_sends_to(relay, peer(1, 1), b"late").silence().is_some());
    assert!(client.send_channel(&mut lab, 0x4000, b"late").silence().is_some());
    assert!(client.send(&mut lab, peer(1, 1), b"late").silence().is_some());
    assert_eq!(client.permit(&mut lab, &[peer(1, 1)]), Some(437));
    assert!(lab.pool.is_full(), "the request ended it");
}

#[test]
fn rfc8656_6_data_do_not_refresh_an_allocation() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    let relayed = client.allocate(&mut lab);
    for _ in 0..59 {
        lab.pass_seconds(10);
        client.permit(&mut lab, &[peer(1, 1)]);
        assert!(client.send(&mut lab, peer(1, 1), b"ping").to_peer().is_some());
        assert!(lab.peer_sends(peer(1, 1), relayed, b"pong").unwrap().to_client().is_some());
    }
    lab.pass_seconds(10);
    assert_eq!(lab.server.gauges().allocations, 0);
}

#[test]
fn rfc8656_6_relayed_addresses_are_unique() {
    let mut lab = Lab::default();
    let relayed: BTreeSet<_> = (1..=50).map(|host| Client::udp(host).allocate(&mut lab)).collect();
    assert_eq!(relayed.len(), 50);
}

#[test]
fn rfc8656_6_the_5_tuple_has_five_parts() {
    let mut lab = Lab::default();
    let base = Client::udp(1);
    let mut others = vec![
        base.clone(),
        Client::tcp(1),
        Client::udp(2),
        Client::at(client(1, 40_001), Transport::Udp),
    ];
    for transport in [Transport::Tls, Transport::Dtls] {
        others.push(Client::at(base.five_tuple.client, transport));
    }
    let mut other_port = base.clone();
    other_port.five_tuple.server.set_port(3479);
    let mut other_server = base;
    other_server.five_tuple.server.set_ip([9, 9, 9, 8].into());
    others.extend([other_port, other_server]);
    let relayed: BTreeSet<_> = others.iter_mut().map(|client| client.allocate(&mut lab)).collect();
    assert_eq!((relayed.len(), lab.server.gauges().allocations), (8, 8));
}

#[test]
fn rfc8656_7_2_permissions_and_channels_are_empty_at_first() {
    let mut lab = Lab::default();
    let mut first = Client::udp(1);
    first.allocate(&mut lab);
    first.bind(&mut lab, 0x4000, peer(1, 1));
    first.refresh(&mut lab, 0);
    let relayed = first.allocate(&mut lab);
    assert_eq!((lab.server.gauges().permissions, lab.server.gauges().channels), (0, 0));
    assert!(lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().silence().is_some());
    assert!(first.send_channel(&mut lab, 0x4000, b"x").silence().is_some());
}

fn allocate(client: &mut Client, lab: &mut Lab, lifetime: Option<u32>) -> Answer {
    let answer = client.ask(lab, Method::ALLOCATE, &|w| {
        w.put(&RequestedTransport::UDP)?;
        lifetime.map_or(Ok(()), |lifetime| w.put(&Lifetime(lifetime)).map(drop))
    });
    answer.answer()
}
