//! RFC 5780, NAT behaviour discovery: its rules for a server, tested on the decision and on the
//! running `stund`.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

#[path = "rfc5780/server.rs"]
mod server;

use causeway_wire::attribute::{
    AttributeType, ChangeRequest, MappedAddress, OtherAddress, Padding, ResponseOrigin,
    ResponsePort, UnknownAttributes, XorMappedAddress,
};
use causeway_wire::{Class, Method, Transport};
use server::{Answered, ID, Server, each, each_with_one_address, request};

#[test]
fn rfc5780_6_the_same_two_ports_are_answered_on_both_addresses() {
    each(|server| {
        for &endpoint in &server.endpoints {
            let answered = server.ask_at(endpoint, &request(|_| ()));
            assert_eq!(
                (answered.from, answered.to, answered.error()),
                (endpoint, answered.source, None)
            );
        }
    });
}

#[test]
fn rfc5780_6_and_7_4_with_one_address_there_is_no_other_address_and_change_request_is_420() {
    each_with_one_address(|server| {
        assert!(!server.ask(&request(|_| ())).message().has(AttributeType::OTHER_ADDRESS));
        for change in changes().into_iter().filter(|change| *change != ChangeRequest::default()) {
            let answered = server.ask(&request(|w| _ = w.put(&change).unwrap()));
            assert_eq!(
                (answered.error(), unknown(&answered)),
                (Some(420), vec![AttributeType::CHANGE_REQUEST]),
                "{change:?}"
            );
            assert!(!answered.message().has(AttributeType::OTHER_ADDRESS));
        }
        let broken =
            server.ask(&request(|w| _ = w.put_raw(AttributeType::CHANGE_REQUEST, &[0]).unwrap()));
        assert_eq!(
            (broken.error(), unknown(&broken)),
            (Some(420), vec![AttributeType::CHANGE_REQUEST])
        );
    });
}

#[test]
fn rfc5780_6_1_a_change_request_without_flags_asks_for_nothing() {
    let asks_for_nothing = |server: &Server| {
        let plain = server.ask(&request(|_| ()));
        let answered = server.ask(&request(|w| _ = w.put(&ChangeRequest::default()).unwrap()));
        assert_eq!(
            (answered.error(), answered.from, answered.to),
            (None, plain.from, answered.source),
            "{:?}",
            server.over
        );
        assert_eq!(answered.message().attribute(), Ok(Some(XorMappedAddress(answered.source))));
        let has = |kind| answered.message().has(kind) == plain.message().has(kind);
        assert!(
            [
                AttributeType::OTHER_ADDRESS,
                AttributeType::RESPONSE_ORIGIN,
                AttributeType::MAPPED_ADDRESS
            ]
            .into_iter()
            .all(has)
        );
    };
    each_with_one_address(asks_for_nothing);
    each(asks_for_nothing);
}

#[test]
fn rfc5780_6_1_mapped_address_stands_both_ways() {
    each(|server| {
        let answered = server.ask(&request(|_| ()));
        assert_eq!(answered.message().attribute(), Ok(Some(MappedAddress(answered.source))));
        assert_eq!(answered.message().attribute(), Ok(Some(XorMappedAddress(answered.source))));
    });
}

#[test]
fn rfc5780_6_1_table_1_where_the_answer_comes_from() {
    each(|server| {
        if server.over != Transport::Udp {
            return;
        }
        for &asked in &server.endpoints {
            for change in changes() {
                let answered = server.ask_at(asked, &request(|w| _ = w.put(&change).unwrap()));
                assert_eq!(answered.error(), None);
                assert_eq!(
                    (answered.from.ip() != asked.ip(), answered.from.port() != asked.port()),
                    (change.change_ip, change.change_port)
                );
                assert!(
                    server.endpoints.contains(&answered.from) && answered.to == answered.source
                );
            }
        }
    });
}

#[test]
fn rfc5780_6_1_response_origin_is_where_the_answer_comes_from() {
    each(|server| {
        for (change, &asked) in changes().into_iter().zip(&server.endpoints) {
            let udp = server.over == Transport::Udp;
            let answered =
                server.ask_at(asked, &request(|w| _ = udp.then(|| w.put(&change).unwrap())));
            assert_eq!(answered.message().attribute(), Ok(Some(ResponseOrigin(answered.from))));
        }
    });
}

#[test]
fn rfc5780_6_1_other_address_differs_in_both_whatever_was_asked() {
    each(|server| {
        for &asked in &server.endpoints {
            for change in changes() {
                let udp = server.over == Transport::Udp;
                let answered =
                    server.ask_at(asked, &request(|w| _ = udp.then(|| w.put(&change).unwrap())));
                assert_eq!(
                    answered.message().attribute(),
                    Ok(server.other(asked).map(OtherAddress))
                );
            }
        }
    });
}

#[test]
fn rfc5780_3_a_connection_is_answered_on_itself_and_nothing_else_is_promised() {
    each(|server| {
        if server.over == Transport::Udp {
            return;
        }
        let change = ChangeRequest { change_ip: true, change_port: false };
        let answered = server
            .ask(&request(|w| _ = w.put(&change).unwrap().put(&ResponsePort(4_711)).unwrap()));
        assert_eq!(answered.error(), Some(420));
        assert_eq!(
            unknown(&answered),
            [AttributeType::CHANGE_REQUEST, AttributeType::RESPONSE_PORT]
        );
    });
}

#[test]
fn rfc5780_6_1_padding_is_answered_with_padding() {
    each(|server| {
        for len in [0, 4, 57, 1_500, 4_000] {
            let request = request(|w| _ = w.put(&Padding(len)).unwrap());
            let answered = server.ask(&request);
            let padding = answered.message().attribute::<Padding>().unwrap().expect("PADDING");
            // Not up to the MTU of the interface, but up to the length of the request (H17).
            assert!(padding.0.is_multiple_of(4) && padding.0 <= 1_500);
            assert!(padding.0 == 0 || padding.0 == 1_500 || answered.bytes.len() == request.len());
            assert_eq!(padding.0 > 1_400, len >= 1_500, "{len} is answered by {}", padding.0);
        }
        assert!(!server.ask(&request(|_| ())).message().has(AttributeType::PADDING));
    });
}

#[test]
fn rfc5780_6_1_and_7_5_padding_with_response_port_is_400() {
    each(|server| {
        if server.over != Transport::Udp {
            return; // RESPONSE-PORT is unknown there
        }
        for padding_first in [true, false] {
            let answered = server.ask_for_port(&|port| {
                request(|w| {
                    _ = if padding_first {
                        w.put(&Padding(100)).unwrap().put(&ResponsePort(port)).unwrap()
                    } else {
                        w.put(&ResponsePort(port)).unwrap().put(&Padding(100)).unwrap()
                    };
                })
            });
            assert_eq!(
                (answered.error(), answered.to),
                (Some(400), answered.source),
                "an error goes to the source of the request"
            );
        }
    });
}

#[test]
fn rfc5780_7_5_the_answer_goes_to_the_response_port_of_the_source_address() {
    each(|server| {
        if server.over != Transport::Udp {
            return;
        }
        for change in changes() {
            let answered = server.ask_for_port(&|port| {
                request(|w| _ = w.put(&ResponsePort(port)).unwrap().put(&change).unwrap())
            });
            assert_eq!((answered.error(), answered.to.ip()), (None, answered.source.ip()));
            assert_ne!(answered.to.port(), answered.source.port());
            // It names the address of the client.
            assert_eq!(answered.message().attribute(), Ok(Some(XorMappedAddress(answered.source))));
            assert_eq!(answered.from.ip() != server.endpoints[0].ip(), change.change_ip);
        }
    });
}

#[test]
fn rfc5780_7_5_a_response_port_may_or_may_not_count_its_padding() {
    each(|server| {
        if server.over != Transport::Udp {
            return;
        }
        let answered = server.ask_for_port(&|port| {
            request(|w| _ = w.put_raw(AttributeType::RESPONSE_PORT, &port.to_be_bytes()).unwrap())
        });
        assert_ne!(answered.to, answered.source);
        for bad in [&[][..], &[0, 0, 0, 0], &[1], &[1, 2, 3], &[1; 8]] {
            let answered =
                server.ask(&request(|w| _ = w.put_raw(AttributeType::RESPONSE_PORT, bad).unwrap()));
            assert_eq!((answered.error(), answered.to), (Some(400), answered.source), "{bad:?}");
        }
    });
}

#[test]
fn rfc5780_5_a_server_with_one_address_does_not_know_response_port_and_padding() {
    each_with_one_address(|server| {
        let answered = server
            .ask(&request(|w| _ = w.put(&ResponsePort(4_711)).unwrap().put(&Padding(8)).unwrap()));
        assert_eq!(answered.error(), Some(420));
        assert_eq!(unknown(&answered), [AttributeType::RESPONSE_PORT, AttributeType::PADDING]);
    });
}

#[test]
fn rfc5780_6_1_fingerprint_only_where_the_client_has_it_and_alternate_server_never() {
    each(|server| {
        for fingerprint in [false, true] {
            let answered = server.ask(&request(|w| {
                w.put(&Padding(200)).unwrap();
                if fingerprint {
                    w.fingerprint().unwrap();
                }
            }));
            assert_eq!(answered.message().fingerprint(), fingerprint.then_some(true));
            assert!(!answered.message().has(AttributeType::ALTERNATE_SERVER));
        }
    });
}

#[test]
fn rfc5780_6_the_rest_is_as_stun_has_it() {
    each(|server: &Server| {
        let answered =
            server.ask(&request(|w| _ = w.put_raw(AttributeType(0xC0DE), b"x").unwrap()));
        let message = answered.message();
        assert_eq!(
            (message.class(), message.method(), message.transaction_id()),
            (Class::SuccessResponse, Method::BINDING, ID)
        );
        let answered =
            server.ask(&request(|w| _ = w.put_raw(AttributeType(0x7ABC), b"x").unwrap()));
        assert_eq!(
            (answered.error(), unknown(&answered)),
            (Some(420), vec![AttributeType(0x7ABC)])
        );
        let mut indication = request(|_| ());
        indication[1] |= 0x10;
        server.is_silent(&indication);
        let short =
            server.ask(&request(|w| _ = w.put_raw(AttributeType::CHANGE_REQUEST, &[6]).unwrap()));
        assert_eq!(short.error(), Some(if server.over == Transport::Udp { 400 } else { 420 }));
    });
}

fn changes() -> [ChangeRequest; 4] {
    [(false, false), (false, true), (true, false), (true, true)]
        .map(|(change_ip, change_port)| ChangeRequest { change_ip, change_port })
}

fn unknown(answered: &Answered) -> Vec<AttributeType> {
    answered
        .message()
        .attribute::<UnknownAttributes<'_>>()
        .unwrap()
        .map_or_else(Vec::new, |list| list.kinds().collect())
}
