//! RFC 8656 §7.2: the checks of an Allocate request, in their order.

use causeway_relay::{BindFailure, Families, Limits};
use causeway_tests::{Answer, Client, Fill, LIMITS, Lab, Reaction};
use causeway_wire::attribute::{
    AttributeType, Lifetime, RequestedAddressFamily, RequestedTransport,
};
use causeway_wire::{EncodeError, MessageWriter, Method};

#[test]
fn rfc8656_7_2_check_1_an_allocate_must_be_authenticated() {
    let mut lab = Lab::default();
    let client = Client::udp(1);
    let id = Client::udp(9).next_transaction();
    let answer =
        lab.client_sends(&client.five_tuple, &client.unsigned(id, Method::ALLOCATE, &udp)).answer();
    assert_eq!(answer.error(), Some(401));
    assert_eq!(lab.server.gauges().allocations, 0);
}

#[test]
fn rfc8656_7_2_check_1_goes_before_all_others() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    let id = client.next_transaction();
    let faulty: Fill<'_> =
        &|w| w.put(&RequestedTransport::TCP)?.put_raw(AttributeType(0x7FFF), &[]).map(drop);
    let answer = lab
        .client_sends(&client.five_tuple, &client.unsigned(id, Method::ALLOCATE, faulty))
        .answer();
    assert_eq!(answer.error(), Some(401), "not 420, 437 or 442");
}

#[test]
fn rfc8656_7_2_check_2_a_second_allocate_is_437() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    let relayed = client.allocate(&mut lab);
    assert_eq!(allocate(&mut client, &mut lab, &udp).error(), Some(437));
    assert_eq!(lab.server.gauges().allocations, 1);
    assert!(lab.pool.relay(relayed).is_some(), "the first one still exists");
}

#[test]
fn rfc8656_7_2_check_2_goes_before_check_3() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    assert_eq!(allocate(&mut client, &mut lab, &|_| Ok(())).error(), Some(437), "not 400");
    assert_eq!(
        allocate(&mut client, &mut lab, &|w| w.put(&RequestedTransport::TCP).map(drop)).error(),
        Some(437),
        "not 442"
    );
}

#[test]
fn rfc8656_7_2_check_2_holds_while_the_relayed_address_is_being_bound() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.fetch_nonce(&mut lab);
    lab.pool.hold = true;
    assert_eq!(client.ask_once(&mut lab, Method::ALLOCATE, &udp), Reaction::Later);
    assert_eq!(client.ask_once(&mut lab, Method::ALLOCATE, &udp).answer().error(), Some(437));
    let answers = lab.complete();
    assert!(matches!(&answers[..], [Reaction::Answer(answer)] if answer.error().is_none()));
}

#[test]
fn rfc8656_7_2_check_3_requested_transport_missing_or_malformed_is_400() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    assert_eq!(allocate(&mut client, &mut lab, &|_| Ok(())).error(), Some(400));
    for length in [0, 1, 3, 5, 8] {
        let malformed: Fill<'_> =
            &|w| w.put_raw(AttributeType::REQUESTED_TRANSPORT, &[17; 8][..length]).map(drop);
        assert_eq!(allocate(&mut client, &mut lab, malformed).error(), Some(400), "{length} bytes");
    }
    assert_eq!(lab.server.gauges().allocations, 0);
}

#[test]
fn rfc8656_7_2_check_3_another_transport_is_442() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    for protocol in [0, 1, 6, 16, 18, 255] {
        let answer =
            allocate(&mut client, &mut lab, &|w| w.put(&RequestedTransport(protocol)).map(drop));
        assert_eq!(answer.error(), Some(442), "protocol {protocol}");
    }
}

#[test]
fn rfc8656_7_2_check_3_goes_before_check_7() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    let unknown_family = |w: &mut MessageWriter<'_>| {
        w.put_raw(AttributeType::REQUESTED_ADDRESS_FAMILY, &[3, 0, 0, 0]).map(drop)
    };
    assert_eq!(allocate(&mut client, &mut lab, &unknown_family).error(), Some(400), "not 440");
    let both: Fill<'_> = &|w| {
        unknown_family(w)?;
        w.put(&RequestedTransport::TCP).map(drop)
    };
    assert_eq!(allocate(&mut client, &mut lab, both).error(), Some(442), "not 440");
}

#[test]
fn rfc8656_7_2_check_5_a_token_with_what_it_excludes_is_400() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    for excluded in [EVEN, REQUESTED_V4, ADDITIONAL_V6] {
        assert_eq!(
            with(&mut client, &mut lab, &[TOKEN, excluded]).error(),
            Some(400),
            "{:?}",
            excluded.0
        );
    }
    assert_eq!(
        with(&mut client, &mut lab, &[(AttributeType::RESERVATION_TOKEN, &[1; 7])]).error(),
        Some(400),
        "malformed"
    );
}

#[test]
fn rfc8656_7_2_check_5_a_token_that_is_not_valid_is_508() {
    let mut lab = Lab::default();
    assert_eq!(with(&mut Client::udp(1), &mut lab, &[TOKEN]).error(), Some(508));
}

#[test]
fn rfc8656_7_2_check_5_goes_before_check_7() {
    let mut lab = Lab::with(|setup| setup.families = Families { ipv4: false, ipv6: true });
    assert_eq!(
        with(&mut Client::udp(1), &mut lab, &[TOKEN, REQUESTED_V4]).error(),
        Some(400),
        "not 440"
    );
}

#[test]
fn rfc8656_7_2_check_6_requested_and_additional_family_is_400() {
    let mut lab = Lab::with(|setup| setup.families = Families { ipv4: false, ipv6: true });
    assert_eq!(
        with(&mut Client::udp(1), &mut lab, &[REQUESTED_V4, ADDITIONAL_V6]).error(),
        Some(400),
        "not 440: check 7 comes later"
    );
}

#[test]
fn rfc8656_7_2_check_8_an_even_port_is_granted() {
    let mut lab = Lab::default();
    for host in 1..=5 {
        let answer = with(&mut Client::udp(host), &mut lab, &[EVEN]);
        assert_eq!(answer.relayed().map(|relayed| relayed.port() % 2), Some(0));
        assert!(!answer.has(AttributeType::RESERVATION_TOKEN));
    }
}

#[test]
fn rfc8656_7_2_check_8_a_reservation_with_an_additional_family_is_400() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    assert_eq!(with(&mut client, &mut lab, &[PAIR, ADDITIONAL_V6]).error(), Some(400));
    assert_eq!(
        with(&mut client, &mut lab, &[(AttributeType::EVEN_PORT, &[])]).error(),
        Some(400),
        "malformed"
    );
    assert!(lab.pool.is_full() && lab.quota.total() == 0);
}

#[test]
fn rfc8656_7_2_check_8_a_reservation_that_cannot_be_satisfied_is_508() {
    let mut lab = Lab::with(|setup| setup.ports = 1);
    assert_eq!(
        with(&mut Client::udp(1), &mut lab, &[PAIR]).error(),
        Some(508),
        "there is no port after the even one"
    );
    assert!(lab.pool.is_full() && lab.quota.total() == 0);
}

#[test]
fn rfc8656_7_2_check_9_an_additional_family_that_is_not_ipv6_is_400() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    for value in [&[1, 0, 0, 0][..], &[0, 0, 0, 0], &[3, 0, 0, 0], &[], &[2], &[2, 0, 0, 0, 0]] {
        let fill: Fill<'_> = &|w| {
            w.put(&RequestedTransport::UDP)?
                .put_raw(AttributeType::ADDITIONAL_ADDRESS_FAMILY, value)
                .map(drop)
        };
        assert_eq!(allocate(&mut client, &mut lab, fill).error(), Some(400), "{value:?}");
    }
    assert!(lab.pool.is_full() && lab.quota.total() == 0);
}

#[test]
fn rfc8656_7_2_check_7_goes_before_check_9() {
    let mut lab = Lab::with(|setup| setup.families = Families { ipv4: false, ipv6: true });
    assert_eq!(
        with(
            &mut Client::udp(1),
            &mut lab,
            &[(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[1, 0, 0, 0])]
        )
        .error(),
        Some(440)
    );
}

#[test]
fn rfc8656_7_2_check_9_goes_before_check_10() {
    let mut lab = Lab::with(|setup| setup.quota = 0);
    let additional_v4 = (AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[1, 0, 0, 0][..]);
    assert_eq!(with(&mut Client::udp(1), &mut lab, &[additional_v4]).error(), Some(400), "not 486");
}

#[test]
fn rfc8656_7_2_check_7_goes_before_check_8() {
    let mut lab = Lab::with(|setup| setup.families = Families { ipv4: false, ipv6: true });
    assert_eq!(with(&mut Client::udp(1), &mut lab, &[PAIR]).error(), Some(440), "not 508");
}

#[test]
fn rfc8656_7_2_check_7_a_family_that_nobody_knows_is_440() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    for family in [0, 3, 255] {
        let fill: Fill<'_> = &|w| {
            w.put(&RequestedTransport::UDP)?
                .put_raw(AttributeType::REQUESTED_ADDRESS_FAMILY, &[family, 0, 0, 0])
                .map(drop)
        };
        assert_eq!(allocate(&mut client, &mut lab, fill).error(), Some(440), "family {family}");
    }
    let malformed: Fill<'_> = &|w| {
        w.put(&RequestedTransport::UDP)?
            .put_raw(AttributeType::REQUESTED_ADDRESS_FAMILY, &[1])
            .map(drop)
    };
    assert_eq!(allocate(&mut client, &mut lab, malformed).error(), Some(400));
}

#[test]
fn rfc8656_7_2_check_7_a_family_that_is_disabled_is_440() {
    let mut only_v4 = Lab::with(|setup| setup.families = Families { ipv4: true, ipv6: false });
    assert_eq!(allocate(&mut Client::udp(1), &mut only_v4, &udp_v6).error(), Some(440));
    assert_eq!(allocate(&mut Client::udp(1), &mut only_v4, &udp).error(), None);
    let mut only_v6 = Lab::with(|setup| setup.families = Families { ipv4: false, ipv6: true });
    assert_eq!(
        allocate(&mut Client::udp(1), &mut only_v6, &udp).error(),
        Some(440),
        "absent means IPv4"
    );
    assert_eq!(allocate(&mut Client::udp(1), &mut only_v6, &udp_v4).error(), Some(440));
    assert_eq!(allocate(&mut Client::udp(1), &mut only_v6, &udp_v6).error(), None);
}

#[test]
fn rfc8656_7_2_check_7_goes_before_check_10() {
    let mut lab = Lab::with(|setup| {
        setup.quota = 0;
        setup.families = Families { ipv4: true, ipv6: false };
    });
    assert_eq!(allocate(&mut Client::udp(1), &mut lab, &udp_v6).error(), Some(440), "not 486");
    assert_eq!(allocate(&mut Client::udp(1), &mut lab, &udp).error(), Some(486));
}

#[test]
fn rfc8656_7_2_check_10_the_quota_is_counted_by_username_not_by_address() {
    let mut lab = Lab::with(|setup| setup.quota = 2);
    for host in 1..=2 {
        Client::udp(host).allocate(&mut lab);
    }
    assert_eq!(allocate(&mut Client::udp(3), &mut lab, &udp).error(), Some(486));
    assert_eq!(
        allocate(&mut Client::udp(1).named("bob", "builder"), &mut lab, &udp).error(),
        Some(437),
        "the 5-tuple is in use"
    );
    Client::udp(3).named("bob", "builder").allocate(&mut lab);
    assert_eq!((lab.quota.held("alice"), lab.quota.held("bob")), (2, 1));
}

#[test]
fn rfc8656_7_2_without_a_port_the_answer_is_508() {
    let mut lab = Lab::with(|setup| setup.ports = 1);
    let mut first = Client::udp(1);
    first.allocate(&mut lab);
    assert_eq!(allocate(&mut Client::udp(2), &mut lab, &udp).error(), Some(508));
    assert_eq!(
        (lab.quota.held("alice"), lab.server.gauges().allocations),
        (1, 1),
        "the failed one leaves nothing"
    );
    first.refresh(&mut lab, 0);
    Client::udp(2).allocate(&mut lab);
}

#[test]
fn rfc8656_7_2_a_family_that_cannot_be_bound_is_440() {
    let mut lab = Lab::default();
    lab.pool.failure = Some(BindFailure::Family);
    assert_eq!(allocate(&mut Client::udp(1), &mut lab, &udp_v6).error(), Some(440));
    assert_eq!(lab.quota.total(), 0);
}

#[test]
fn rfc8656_7_2_without_room_for_an_allocation_the_answer_is_508() {
    let mut lab = Lab::with(|setup| setup.limits = Limits { allocations: 1, ..LIMITS });
    Client::udp(1).allocate(&mut lab);
    assert_eq!(allocate(&mut Client::udp(2), &mut lab, &udp).error(), Some(508));
}

#[test]
fn rfc8656_7_2_a_malformed_lifetime_is_400() {
    let mut lab = Lab::default();
    let malformed: Fill<'_> =
        &|w| w.put(&RequestedTransport::UDP)?.put_raw(AttributeType::LIFETIME, &[0, 0]).map(drop);
    assert_eq!(allocate(&mut Client::udp(1), &mut lab, malformed).error(), Some(400));
}

#[test]
fn rfc8656_21_4_clients_at_6to4_and_teredo_addresses_are_403() {
    let mut lab = Lab::default();
    for tunnel in ["[2002:808:808::1]:40000", "[2001:0:1::1]:40000"] {
        let mut client = Client::at(tunnel.parse().unwrap(), causeway_relay::Transport::Udp);
        assert_eq!(allocate(&mut client, &mut lab, &udp).error(), Some(403), "{tunnel}");
    }
}

#[test]
fn rfc8656_21_4_nothing_is_forwarded_to_6to4_and_teredo_addresses() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.allocate_both(&mut lab);
    for tunnel in
        ["[2002:808:808::1]:40000", "[2001:0:1::1]:40000"].map(|tunnel| tunnel.parse().unwrap())
    {
        assert_eq!(
            (client.permit(&mut lab, &[tunnel]), client.bind(&mut lab, 0x4000, tunnel)),
            (Some(403), Some(403))
        );
        assert!(client.send(&mut lab, tunnel, b"x").silence().is_some());
    }
}

#[test]
fn rfc8656_7_2_every_error_is_sent_back_on_the_5_tuple_with_the_methods_number() {
    let mut lab = Lab::default();
    let mut client = Client::tcp(1);
    let answer = allocate(&mut client, &mut lab, &|w| w.put(&Lifetime(1)).map(drop));
    assert_eq!(
        (answer.to, answer.method(), answer.error()),
        (client.five_tuple, Method::ALLOCATE, Some(400))
    );
}

type Raw = (AttributeType, &'static [u8]);

const TOKEN: Raw = (AttributeType::RESERVATION_TOKEN, &[1; 8]);
const EVEN: Raw = (AttributeType::EVEN_PORT, &[0]);
const PAIR: Raw = (AttributeType::EVEN_PORT, &[0x80]);
const REQUESTED_V4: Raw = (AttributeType::REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0]);
const ADDITIONAL_V6: Raw = (AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);

/// An Allocate for UDP with these further attributes.
#[track_caller]
fn with(client: &mut Client, lab: &mut Lab, attributes: &[Raw]) -> Answer {
    allocate(client, lab, &|w| {
        udp(w)?;
        attributes.iter().try_for_each(|(kind, value)| w.put_raw(*kind, value).map(drop))
    })
}

#[track_caller]
fn allocate(client: &mut Client, lab: &mut Lab, fill: Fill<'_>) -> Answer {
    client.ask(lab, Method::ALLOCATE, fill).answer()
}

fn udp(w: &mut MessageWriter<'_>) -> Result<(), EncodeError> {
    w.put(&RequestedTransport::UDP).map(drop)
}

fn udp_v4(w: &mut MessageWriter<'_>) -> Result<(), EncodeError> {
    udp(w)?;
    w.put(&RequestedAddressFamily(causeway_wire::attribute::AddressFamily::Ipv4)).map(drop)
}

fn udp_v6(w: &mut MessageWriter<'_>) -> Result<(), EncodeError> {
    udp(w)?;
    w.put(&RequestedAddressFamily(causeway_wire::attribute::AddressFamily::Ipv6)).map(drop)
}
