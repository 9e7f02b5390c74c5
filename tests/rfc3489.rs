//! RFC 3489, "classic STUN": its rules for a server, tested on the decision and on the running
//! `stund`, and a client of its time.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

#[path = "rfc3489/client.rs"]
mod client;
#[path = "rfc3489/nat.rs"]
mod nat;
#[path = "rfc5780/server.rs"]
mod server;

use causeway_wire::attribute::{
    Attribute, AttributeType, ChangeRequest, ChangedAddress, MappedAddress, Padding,
    ResponseAddress, ResponsePort, SourceAddress, UnknownAttributes, Username,
};
use causeway_wire::{Class, IntegrityKey, MessageWriter, Method, Transport};
use client::Finding;
use nat::Kind;
use server::{Answered, Server, each, each_with_one_address};

/// A request of RFC 3489: sixteen bytes of transaction id, and no cookie among them.
fn request(fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    without_cookie(server::request(fill))
}

fn without_cookie(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[4..8].copy_from_slice(b"sixt");
    bytes
}

fn change_request(change_ip: bool, change_port: bool) -> Vec<u8> {
    request(|w| _ = w.put(&ChangeRequest { change_ip, change_port }).unwrap())
}

/// The first attribute of this type, which the answer must have.
fn attribute<A: for<'a> Attribute<'a>>(answered: &Answered) -> A {
    answered.message().attribute().unwrap().expect("the answer has the attribute")
}

fn unknown(answered: &Answered) -> Vec<u16> {
    attribute_list(answered).into_iter().map(|kind| kind.0).collect()
}

fn attribute_list(answered: &Answered) -> Vec<AttributeType> {
    answered
        .message()
        .attribute::<UnknownAttributes<'_>>()
        .unwrap()
        .map_or_else(Vec::new, |list| list.kinds().collect())
}

/// Every server that answers clients of RFC 3489, with two addresses and with one.
fn every(test: impl Fn(&Server)) {
    let without_dtls = |server: &Server| {
        if server.over != Transport::Dtls {
            test(server);
        }
    };
    each(without_dtls);
    each_with_one_address(without_dtls);
}

#[test]
fn rfc3489_8_1_all_four_address_and_port_combinations_are_answered() {
    each(|server| {
        if server.over == Transport::Dtls {
            return;
        }
        for &endpoint in &server.endpoints {
            let answered = server.ask_at(endpoint, &request(|_| ()));
            assert_eq!((answered.error(), answered.from), (None, endpoint));
        }
    });
}

#[test]
fn rfc3489_8_1_a_single_binding_response_with_the_requests_transaction_id() {
    every(|server| {
        let request = request(|_| ());
        let answered = server.ask(&request);
        assert_eq!(answered.bytes[..2], [0x01, 0x01], "Binding Response");
        assert_eq!(answered.bytes[4..20], request[4..20], "all sixteen bytes");
        assert_eq!(
            usize::from(u16::from_be_bytes([answered.bytes[2], answered.bytes[3]])),
            answered.bytes.len() - 20
        );
    });
}

#[test]
fn rfc3489_8_1_mapped_address_is_the_source_in_the_clear_and_nothing_newer_is_there() {
    every(|server| {
        let answered = server.ask(&request(|_| ()));
        assert_eq!(attribute::<MappedAddress>(&answered).0, answered.source);
        // "request retransmissions MUST cease, but the entire response is otherwise ignored" (RFC
        // 3489 §9.4), if one were.
        assert!(answered.message().attributes().all(|raw| raw.kind.0 <= 0x000B));
    });
}

#[test]
fn rfc3489_8_1_without_response_address_the_answer_goes_to_the_source() {
    every(|server| {
        let answered = server.ask(&request(|_| ()));
        assert_eq!(answered.to, answered.source);
    });
}

#[test]
fn rfc3489_8_1_response_address_is_unknown_and_the_answer_goes_to_the_source() {
    every(|server| {
        // By RFC 3489 the answer would go to that address: H17.
        let answered = server.ask(&request(|w| {
            _ = w.put(&ResponseAddress("192.0.2.66:53".parse().unwrap())).unwrap();
        }));
        assert_eq!((answered.error(), answered.to), (Some(420), answered.source));
        assert_eq!(unknown(&answered), [0x0002, 0x0002]);
        assert!(!answered.message().has(AttributeType::REFLECTED_FROM));
    });
}

#[test]
fn rfc3489_8_1_table_1_where_the_answer_comes_from_and_what_it_says_of_it() {
    each(|server| {
        if server.over != Transport::Udp {
            return;
        }
        for &asked in &server.endpoints {
            for (change_ip, change_port) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let answered = server.ask_at(asked, &change_request(change_ip, change_port));
                assert_eq!(
                    (answered.from.ip() != asked.ip(), answered.from.port() != asked.port()),
                    (change_ip, change_port)
                );
                assert_eq!(attribute::<SourceAddress>(&answered).0, answered.from);
                assert_eq!(
                    Some(attribute::<ChangedAddress>(&answered).0),
                    server.other(asked),
                    "regardless of the flags"
                );
            }
        }
    });
}

#[test]
fn rfc3489_8_1_without_change_request_the_answer_comes_from_where_it_was_asked() {
    every(|server| {
        for &asked in &server.endpoints {
            let answered = server.ask_at(asked, &request(|_| ()));
            assert_eq!((answered.from, attribute::<SourceAddress>(&answered).0), (asked, asked));
        }
    });
}

#[test]
fn rfc3489_8_1_a_change_request_without_flags_asks_for_nothing() {
    every(|server| {
        let answered = server.ask(&change_request(false, false));
        assert_eq!((answered.error(), answered.from), (None, server.endpoints[0]));
    });
}

#[test]
fn rfc3489_8_1_what_cannot_be_changed_is_420_and_no_changed_address_is_made_up() {
    let cannot = |server: &Server| {
        if server.over == Transport::Dtls {
            return;
        }
        for (change_ip, change_port) in [(false, true), (true, false), (true, true)] {
            let answered = server.ask(&change_request(change_ip, change_port));
            assert_eq!((answered.error(), unknown(&answered)), (Some(420), vec![0x0003, 0x0003]));
        }
    };
    each_with_one_address(|server| {
        cannot(server);
        if server.over != Transport::Dtls {
            assert!(!server.ask(&request(|_| ())).message().has(AttributeType::CHANGED_ADDRESS));
        }
    });
    each(|server| {
        if server.over != Transport::Udp {
            cannot(server);
        }
    });
}

#[test]
fn rfc3489_8_1_unknown_mandatory_attributes_are_listed_in_a_420_and_optional_ones_ignored() {
    every(|server| {
        let answered = server.ask(&request(|w| {
            for kind in [0x7FFF, 0x8000, 0x000C, 0x7FFF, 0xFFFF, 0x0020] {
                w.put_raw(AttributeType(kind), &[1, 2, 3, 4]).unwrap();
            }
        }));
        assert_eq!(answered.bytes[..2], [0x01, 0x11], "Binding Error Response");
        assert_eq!((answered.error(), answered.to), (Some(420), answered.source));
        // "If the number of unknown attributes is an odd number, one of the attributes MUST be
        // repeated in the list" (RFC 3489 §11.2.10).
        assert_eq!(unknown(&answered), [0x7FFF, 0x000C, 0x0020, 0x0020]);
        let answered =
            server.ask(&request(|w| _ = w.put_raw(AttributeType(0x8022), b"soft").unwrap()));
        assert_eq!(answered.error(), None);
    });
}

#[test]
fn rfc3489_8_1_what_came_after_it_is_unknown() {
    every(|server| {
        let answered = server.ask_for_port(&|port| {
            request(|w| _ = w.put(&ResponsePort(port)).unwrap().put(&Padding(4)).unwrap())
        });
        assert_eq!(
            (answered.error(), answered.to, unknown(&answered)),
            (Some(420), answered.source, vec![0x0027, 0x0026])
        );
    });
}

#[test]
fn rfc3489_11_2_10_the_list_is_a_multiple_of_four_bytes() {
    every(|server| {
        for count in 1..20 {
            let answered = server.ask(&request(|w| {
                for kind in 0..count {
                    w.put_raw(AttributeType(0x7000 + kind), &[]).unwrap();
                }
            }));
            let list = unknown(&answered);
            assert!(list.len().is_multiple_of(2) && list.len() >= usize::from(count).min(16));
            assert!((0..count.min(16)).all(|kind| list.contains(&(0x7000 + kind))));
        }
    });
}

#[test]
fn rfc3489_11_2_known_attributes_that_do_not_belong_there_are_ignored() {
    every(|server| {
        let answered = server.ask(&request(|w| {
            for kind in [0x0001, 0x0004, 0x0005, 0x0006, 0x0007, 0x0009, 0x000A, 0x000B] {
                w.put_raw(AttributeType(kind), &[0; 4]).unwrap();
            }
        }));
        assert_eq!(answered.error(), None);
    });
}

#[test]
fn rfc3489_8_1_integrity_without_username_is_432_and_with_a_name_that_nobody_gave_out_430() {
    every(|server| {
        let key = IntegrityKey::new(b"secret");
        let answered = server.ask(&request(|w| _ = w.integrity(&key).unwrap()));
        assert_eq!((answered.error(), answered.to), (Some(432), answered.source));
        let answered = server
            .ask(&request(|w| _ = w.put(&Username("user")).unwrap().integrity(&key).unwrap()));
        assert_eq!(answered.error(), Some(430));
        // USERNAME alone demands no check.
        assert_eq!(server.ask(&request(|w| _ = w.put(&Username("user")).unwrap())).error(), None);
    });
}

#[test]
fn rfc3489_11_2_9_reason_phrases_are_multiples_of_four_bytes() {
    every(|server| {
        let key = IntegrityKey::new(b"secret");
        let asked = [
            request(|w| _ = w.put_raw(AttributeType(0x7FFF), &[]).unwrap()),
            request(|w| _ = w.integrity(&key).unwrap()),
            request(|w| _ = w.put(&Username("user")).unwrap().integrity(&key).unwrap()),
            request(|w| _ = w.put_raw(AttributeType::CHANGE_REQUEST, &[0; 8]).unwrap()),
            without_cookie(server::request_of(Method::SHARED_SECRET, |_| ())),
        ];
        for request in asked {
            let answered = server.ask(&request);
            let value = answered
                .message()
                .attributes()
                .find(|raw| raw.kind == AttributeType::ERROR_CODE)
                .unwrap()
                .value
                .to_vec();
            assert!(
                value.len() > 4 && value.len().is_multiple_of(4) && value[..2] == [0, 0],
                "{value:?}"
            );
            assert!((1..=6).contains(&value[2]) && value[3] < 100);
        }
    });
}

#[test]
fn rfc3489_8_2_a_shared_secret_request_outside_tls_is_433() {
    every(|server| {
        if server.over == Transport::Tls {
            return;
        }
        let request = without_cookie(server::request_of(Method::SHARED_SECRET, |_| ()));
        let answered = server.ask(&request);
        assert_eq!(answered.bytes[..2], [0x01, 0x12], "Shared Secret Error Response");
        assert_eq!((answered.error(), answered.to), (Some(433), answered.source));
        assert_eq!(answered.bytes[4..20], request[4..20]);
        assert_eq!(
            usize::from(u16::from_be_bytes([answered.bytes[2], answered.bytes[3]])),
            answered.bytes.len() - 20
        );
    });
}

#[test]
fn rfc3489_8_2_over_tls_unknown_attributes_are_420_and_no_secret_is_given() {
    every(|server| {
        if server.over != Transport::Tls {
            return;
        }
        let ask = |fill: &dyn Fn(&mut MessageWriter<'_>)| {
            server.ask(&without_cookie(server::request_of(Method::SHARED_SECRET, |w| fill(w))))
        };
        let answered = ask(&|w| _ = w.put_raw(AttributeType(0x7FFF), &[]).unwrap());
        assert_eq!((answered.error(), unknown(&answered)), (Some(420), vec![0x7FFF, 0x7FFF]));
        let answered = ask(&|_| ());
        assert_eq!(
            (answered.error(), answered.message().class()),
            (Some(600), Class::ErrorResponse)
        );
        assert!(!answered.message().has(AttributeType::PASSWORD));
    });
}

#[test]
fn rfc8489_11_without_the_cookie_every_request_over_dtls_is_500_and_an_indication_nothing() {
    each(|server| {
        if server.over != Transport::Dtls {
            return;
        }
        for method in [Method::BINDING, Method::SHARED_SECRET, Method::ALLOCATE] {
            let request = without_cookie(server::request_of(method, |_| ()));
            assert_eq!(server.ask(&request).error(), Some(500));
        }
        let mut indication = request(|_| ());
        indication[1] |= 0x10;
        server.is_silent(&indication);
    });
}

#[test]
fn rfc3489_8_other_methods_are_not_answered() {
    every(|server| {
        server.is_silent(&without_cookie(server::request_of(Method::ALLOCATE, |_| ())));
        server.is_silent(&without_cookie(server::request_of(Method::new(0x005).unwrap(), |_| ())));
    });
}

/// The client of RFC 3489 §10.1 detects each kind of NAT of RFC 3489 §5.
#[test]
fn rfc3489_10_1_a_client_of_its_time_tells_the_nats_apart() {
    let (stund, alternate) = causeway_tests::daemon::service::stund();
    let kinds = [
        (Kind::None, Finding::Open),
        (Kind::FullCone, Finding::FullCone),
        (Kind::Restricted, Finding::Restricted),
        (Kind::PortRestricted, Finding::PortRestricted),
        (Kind::Symmetric, Finding::Symmetric),
        (Kind::Firewall, Finding::SymmetricFirewall),
        (Kind::Blocking, Finding::Blocked),
    ];
    std::thread::scope(|scope| {
        for (kind, finding) in kinds {
            let server = stund.address;
            scope.spawn(move || {
                assert_eq!(client::discover(&mut nat::Nat::new(kind), server), finding, "{kind:?}");
            });
        }
    });
    assert_ne!(alternate, stund.address);
    stund.end();
}
