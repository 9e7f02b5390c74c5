//! Relayed addresses of one family, of both, on chosen ports; DONT-FRAGMENT; in virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use crate::scripted::*;
use causeway_client::{
    Advice, Event, Failure, HEADROOM, Rejected, RelayPort, RequestError, SendError, TAILROOM,
    Transport, TurnClient, TurnConfig,
};
use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressErrorCode, AddressFamily, AttributeType, Data, DontFragment,
    EvenPort, Lifetime, RequestedAddressFamily, ReservationToken, UnknownAttributes,
    XorMappedAddress, XorPeerAddress, XorRelayedAddress,
};
use causeway_wire::{Class, ErrorCode, Message, MessageWriter, Method};

fn relayed_v6() -> SocketAddr {
    "[2001:db8::1]:50000".parse().unwrap()
}

fn peer_v6() -> SocketAddr {
    "[2001:db8::7]:7000".parse().unwrap()
}

fn client(change: impl FnOnce(&mut TurnConfig)) -> TurnClient {
    let credentials = causeway_client::Credentials::new("anna", PASSWORD);
    let mut config = TurnConfig::new(server_address(), Transport::Udp, Some(credentials));
    change(&mut config);
    TurnClient::new(config, rng())
}

/// A server that challenges and then answers Allocate with these relayed addresses, and what `fill`
/// adds.
fn giving(
    relayed: &[SocketAddr],
    fill: fn(&mut MessageWriter<'_>),
) -> impl FnMut(&[u8]) -> Vec<u8> {
    move |request| {
        let message = Message::decode(request).unwrap();
        if message.method() != Method::ALLOCATE || !message.has_integrity() {
            return honest(request);
        }
        answer(request, Class::SuccessResponse, |writer| {
            for address in relayed {
                writer.put(&XorRelayedAddress(*address)).unwrap();
            }
            writer.put(&XorMappedAddress(mapped())).unwrap().put(&Lifetime(600)).unwrap();
            fill(writer);
            writer.integrity(&key()).unwrap();
        })
    }
}

fn dual(now: Duration) -> TurnClient {
    let mut client = client(|config| config.both_families = true);
    client.allocate(now).unwrap();
    talk(&mut client, now, giving(&[relayed(), relayed_v6()], |_| {}));
    assert!(matches!(
        events(&mut client)[..],
        [Event::Allocated(allocated)]
            if allocated.additional == Some(relayed_v6())
    ));
    client
}

/// The Allocate request with credentials.
fn asked(change: impl FnOnce(&mut TurnConfig)) -> Vec<u8> {
    let (now, mut last) = (epoch(), Vec::new());
    let mut client = client(change);
    client.allocate(now).unwrap();
    talk(&mut client, now, |request| {
        last = request.to_vec();
        honest(request)
    });
    last
}

#[test]
fn rfc8656_7_1_the_request_says_what_is_wanted() {
    let request = asked(|config| config.family = Some(AddressFamily::Ipv4));
    let message = Message::decode(&request).unwrap();
    assert_eq!(
        message.all::<RequestedAddressFamily>().collect::<Vec<_>>(),
        [Ok(RequestedAddressFamily(AddressFamily::Ipv4))]
    );
    let request = asked(|config| config.both_families = true);
    let message = Message::decode(&request).unwrap();
    assert_eq!(
        message.attribute::<AdditionalAddressFamily>().unwrap(),
        Some(AdditionalAddressFamily(AddressFamily::Ipv6))
    );
    assert!(!message.has(AttributeType::REQUESTED_ADDRESS_FAMILY));
    for (port, expected) in [
        (RelayPort::Even, EvenPort { reserve: false }),
        (RelayPort::EvenAndNext, EvenPort { reserve: true }),
    ] {
        let request = asked(|config| config.port = port);
        assert_eq!(
            Message::decode(&request).unwrap().attribute::<EvenPort>().unwrap(),
            Some(expected)
        );
    }
    let request = asked(|config| config.port = RelayPort::Reserved(*b"token123"));
    let message = Message::decode(&request).unwrap();
    assert_eq!(
        message.attribute::<ReservationToken>().unwrap(),
        Some(ReservationToken(*b"token123"))
    );
    assert!(!message.has(AttributeType::EVEN_PORT), "the client MUST omit the EVEN-PORT attribute");
    let request = asked(|config| config.dont_fragment = true);
    assert_eq!(
        Message::decode(&request).unwrap().attribute::<DontFragment>().unwrap(),
        Some(DontFragment)
    );
}

#[test]
fn rfc8656_7_1_what_must_not_be_asked_for_together_is_not() {
    let contradictions: [fn(&mut TurnConfig); 4] = [
        |config| (config.both_families, config.family) = (true, Some(AddressFamily::Ipv6)),
        |config| (config.both_families, config.port) = (true, RelayPort::Reserved([0; 8])),
        |config| (config.both_families, config.port) = (true, RelayPort::EvenAndNext),
        |config| {
            (config.family, config.port) = (Some(AddressFamily::Ipv4), RelayPort::Reserved([0; 8]));
        },
    ];
    for change in contradictions {
        let mut client = client(change);
        assert_eq!(client.allocate(epoch()), Err(RequestError::Contradiction));
        assert_eq!(sent(&mut client), []);
    }
    let fine: [fn(&mut TurnConfig); 2] = [
        |config| (config.both_families, config.port) = (true, RelayPort::Even),
        |config| (config.family, config.port) = (Some(AddressFamily::Ipv6), RelayPort::EvenAndNext),
    ];
    for change in fine {
        assert_eq!(client(change).allocate(epoch()), Ok(()));
    }
}

#[test]
fn rfc8656_7_3_a_dual_allocation_has_an_address_of_each_family() {
    let now = epoch();
    let mut client = client(|config| config.both_families = true);
    client.allocate(now).unwrap();
    talk(&mut client, now, giving(&[relayed_v6(), relayed()], |_| {}));
    let allocated = client.allocated().unwrap();
    assert_eq!(
        (allocated.relayed, allocated.additional, allocated.rejected),
        (relayed(), Some(relayed_v6()), None)
    );
    assert_eq!(allocated.relayed_of(AddressFamily::Ipv6), Some(relayed_v6()));
}

#[test]
fn rfc8656_7_3_half_of_a_dual_allocation_tells_why_the_other_is_missing() {
    for code in [ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED, ErrorCode::INSUFFICIENT_CAPACITY] {
        let now = epoch();
        let mut client = client(|config| config.both_families = true);
        client.allocate(now).unwrap();
        let fill: fn(&mut MessageWriter<'_>) = match code {
            ErrorCode::INSUFFICIENT_CAPACITY => |writer| {
                let code = ErrorCode::INSUFFICIENT_CAPACITY;
                writer
                    .put(&AddressErrorCode { family: AddressFamily::Ipv6, code, reason: "" })
                    .unwrap();
            },
            _ => |writer| {
                let code = ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED;
                writer
                    .put(&AddressErrorCode { family: AddressFamily::Ipv6, code, reason: "" })
                    .unwrap();
            },
        };
        let methods = talk(&mut client, now, giving(&[relayed()], fill));
        let [Event::Allocated(allocated)] = events(&mut client)[..] else { panic!() };
        assert_eq!(
            (allocated.additional, allocated.rejected),
            (None, Some(Rejected { family: AddressFamily::Ipv6, code }))
        );
        assert_eq!(
            methods,
            [Method::ALLOCATE, Method::ALLOCATE],
            "the client MUST NOT retry its request for the rejected address type"
        );
        assert_eq!(client.permit(now, peer_v6().ip()), Err(RequestError::Family));
    }
}

#[test]
fn rfc8656_7_3_addresses_that_were_not_asked_for_are_deleted() {
    let odd = [relayed_v6(), relayed_v6()];
    type Case<'a> = (fn(&mut TurnConfig), &'a [SocketAddr]);
    let cases: [Case<'_>; 5] = [
        (|_| {}, &[relayed_v6()]),
        (|_| {}, &[relayed(), relayed_v6()]),
        (|config| config.family = Some(AddressFamily::Ipv6), &[relayed()]),
        (|config| config.both_families = true, &odd),
        (|config| config.both_families = true, &[]),
    ];
    for (change, given) in cases {
        let now = epoch();
        let mut client = client(change);
        client.allocate(now).unwrap();
        let methods = talk(&mut client, now, giving(given, |_| {}));
        assert_eq!(methods, [Method::ALLOCATE, Method::ALLOCATE, Method::REFRESH], "{given:?}");
        assert!(matches!(
            events(&mut client)[..],
            [Event::Failed { failure: Failure::Malformed, advice: Advice::GiveUp, .. }]
        ));
    }
}

#[test]
fn rfc8656_10_1_a_dual_allocation_permits_peers_of_both_families() {
    let now = epoch();
    let mut client = dual(now);
    client.permit(now, peer().ip()).unwrap();
    client.bind(now, peer_v6()).unwrap();
    talk(&mut client, now, honest);
    assert!(matches!(
        events(&mut client)[..],
        [Event::PermissionInstalled { .. }, Event::ChannelBound { peer, .. }]
            if peer == peer_v6()
    ));
    let mut single = allocated(Transport::Udp, now);
    assert_eq!(single.permit(now, peer_v6().ip()), Err(RequestError::Family));
    assert_eq!(single.bind(now, peer_v6()), Err(RequestError::Family));
}

#[test]
fn rfc8656_8_1_a_dual_allocation_is_refreshed_as_one() {
    let start = epoch();
    let mut client = dual(start);
    let log = run(&mut client, start, start + seconds(600), |request| {
        assert!(
            !Message::decode(request).unwrap().has(AttributeType::REQUESTED_ADDRESS_FAMILY),
            "applying to all current allocations"
        );
        honest(request)
    });
    assert_eq!(log, [(540, Method::REFRESH)]);
}

#[test]
fn rfc8656_8_1_one_family_is_deleted_and_the_other_stays() {
    let now = epoch();
    let mut client = dual(now);
    for peer in [peer(), peer_v6()] {
        client.bind(now, peer).unwrap();
    }
    talk(&mut client, now, honest);
    events(&mut client);
    client.release_family(now, AddressFamily::Ipv4).unwrap();
    let mut seen = None;
    talk(&mut client, now, |request| {
        let message = Message::decode(request).unwrap();
        seen = Some((
            message.attribute::<RequestedAddressFamily>().unwrap(),
            message.attribute::<Lifetime>().unwrap(),
        ));
        honest(request)
    });
    assert_eq!(seen, Some((Some(RequestedAddressFamily(AddressFamily::Ipv4)), Some(Lifetime(0)))));
    assert_eq!(events(&mut client), [Event::FamilyReleased { family: AddressFamily::Ipv4 }]);
    let allocated = client.allocated().unwrap();
    assert_eq!((allocated.relayed, allocated.additional), (relayed_v6(), None));
    let mut buffer = [0; HEADROOM + 1 + TAILROOM];
    assert_eq!(
        client.wrap(now, peer(), &mut buffer, HEADROOM..HEADROOM + 1),
        Err(SendError::NoPermission)
    );
    assert!(
        client.wrap(now, peer_v6(), &mut buffer, HEADROOM..HEADROOM + 1).is_ok(),
        "the other family's channel is not affected"
    );
    assert_eq!(client.permit(now, peer().ip()), Err(RequestError::Family));
    assert_eq!(
        client.release_family(now, AddressFamily::Ipv6),
        Err(RequestError::Family),
        "the last one is closed"
    );
    assert_eq!(
        client.release_family(now, AddressFamily::Ipv4),
        Err(RequestError::Family),
        "only a family that is not yet deleted"
    );
}

#[test]
fn rfc8656_7_2_the_token_of_a_reserved_port_is_told() {
    let now = epoch();
    let mut client = client(|config| config.port = RelayPort::EvenAndNext);
    client.allocate(now).unwrap();
    talk(
        &mut client,
        now,
        giving(&[relayed()], |writer| {
            writer.put(&ReservationToken(*b"token123")).unwrap();
        }),
    );
    assert_eq!(client.allocated().unwrap().reservation, Some(*b"token123"));
    let mut second = self::client(|config| config.port = RelayPort::Reserved(*b"token123"));
    second.allocate(now).unwrap();
    talk(&mut second, now, giving(&[relayed_v6()], |_| {}));
    assert_eq!(
        second.allocated().unwrap().relayed,
        relayed_v6(),
        "of whatever family it was reserved"
    );
}

#[test]
fn rfc8656_7_4_what_can_be_done_without_is_told() {
    type Case = (fn(&mut TurnConfig), ErrorCode, Advice);
    let cases: [Case; 5] = [
        (|config| config.port = RelayPort::Even, ErrorCode::INSUFFICIENT_CAPACITY, Advice::AnyPort),
        (
            |config| config.port = RelayPort::Reserved([0; 8]),
            ErrorCode::INSUFFICIENT_CAPACITY,
            Advice::AnyPort,
        ),
        (|_| {}, ErrorCode::INSUFFICIENT_CAPACITY, Advice::Wait(seconds(60))),
        (
            |config| config.dont_fragment = true,
            ErrorCode::UNKNOWN_ATTRIBUTE,
            Advice::WithoutDontFragment,
        ),
        (|_| {}, ErrorCode::UNKNOWN_ATTRIBUTE, Advice::GiveUp),
    ];
    for (change, code, expected) in cases {
        let now = epoch();
        let mut client = client(change);
        client.allocate(now).unwrap();
        talk(&mut client, now, |request| {
            if !Message::decode(request).unwrap().has_integrity() {
                return honest(request);
            }
            error(request, code, |writer| {
                if code == ErrorCode::UNKNOWN_ATTRIBUTE {
                    writer
                        .put(&UnknownAttributes::Kinds(&[AttributeType::DONT_FRAGMENT.0]))
                        .unwrap();
                }
                writer.integrity(&key()).unwrap();
            })
        });
        assert!(
            matches!(
                &events(&mut client)[..],
                [Event::Failed { advice, .. }]
                    if *advice == expected
            ),
            "{code} {expected:?}"
        );
    }
}

#[test]
fn rfc8656_11_1_a_datagram_that_is_not_to_be_fragmented_says_so() {
    let now = epoch();
    let mut client = client(|config| (config.dont_fragment, config.both_families) = (true, true));
    client.allocate(now).unwrap();
    talk(&mut client, now, giving(&[relayed(), relayed_v6()], |_| {}));
    for peer in [peer(), peer_v6()] {
        client.bind(now, peer).unwrap();
    }
    talk(&mut client, now, honest);
    for peer in [peer(), peer_v6()] {
        let mut buffer = vec![0xEE; HEADROOM + 5 + TAILROOM];
        buffer[HEADROOM..HEADROOM + 5].copy_from_slice(b"hello");
        let frame =
            client.wrap_unfragmented(now, peer, &mut buffer, HEADROOM..HEADROOM + 5).unwrap();
        let message = Message::decode(&buffer[frame]).unwrap();
        assert_eq!(
            (message.method(), message.class()),
            (Method::SEND, Class::Indication),
            "a channel has no place for it"
        );
        assert_eq!(message.attribute::<DontFragment>().unwrap(), Some(DontFragment));
        assert_eq!(message.attribute::<XorPeerAddress>().unwrap(), Some(XorPeerAddress(peer)));
        assert_eq!(message.attribute::<Data<'_>>().unwrap(), Some(Data(b"hello")));
    }
    let mut without = allocated(Transport::Udp, now);
    let mut buffer = vec![0; HEADROOM + 5 + TAILROOM];
    assert_eq!(
        without.wrap_unfragmented(now, peer(), &mut buffer, HEADROOM..HEADROOM + 5),
        Err(SendError::MayBeFragmented),
        "the Allocate request has to test whether the server knows it"
    );
}

#[test]
fn rfc8656_10_2_a_peer_of_another_family_is_refused_and_no_other_harmed() {
    let now = epoch();
    let mut client = dual(now);
    client.permit(now, peer_v6().ip()).unwrap();
    client.permit(now, peer().ip()).unwrap();
    talk(&mut client, now, |request| {
        let message = Message::decode(request).unwrap();
        if message.attribute::<XorPeerAddress>().unwrap().unwrap().0.is_ipv4() {
            return honest(request);
        }
        error(request, ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH, |writer| {
            writer.integrity(&key()).unwrap();
        })
    });
    let happened = events(&mut client);
    let [
        Event::Failed { failure: Failure::Refused(refusal), advice, .. },
        Event::PermissionInstalled { .. },
    ] = &happened[..]
    else {
        panic!("{happened:?}")
    };
    assert_eq!((refusal.code, advice), (ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH, &Advice::GiveUp));
}
