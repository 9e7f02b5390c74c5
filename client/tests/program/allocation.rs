//! Allocate, Refresh and the end of an allocation, in virtual time.

use crate::scripted::*;
use causeway_client::{
    Advice, Allocated, Alternate, Event, Failure, Loss, Received, RequestError, Transport,
    TurnClient,
};
use causeway_wire::attribute::{
    AlternateDomain, AlternateServer, AttributeType, Lifetime, Nonce, RequestedTransport,
    XorMappedAddress, XorRelayedAddress,
};
use causeway_wire::{Class, ErrorCode, Message, Method};

/// The code of the refusal, if that is the only event.
fn refused(client: &mut TurnClient) -> Option<ErrorCode> {
    match &events(client)[..] {
        [Event::Failed { failure: Failure::Refused(refusal), .. }] => Some(refusal.code),
        _ => None,
    }
}

#[test]
fn rfc8656_7_1_an_allocation_takes_two_round_trips() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    client.allocate(now).unwrap();
    let first = sent(&mut client).remove(0).payload;
    let message = Message::decode(&first).unwrap();
    assert_eq!(message.attribute::<RequestedTransport>().unwrap(), Some(RequestedTransport::UDP));
    assert!(!message.has(AttributeType::USERNAME), "the first request carries no credentials");
    assert_eq!(client.handle_input(now, server_address(), &honest(&first)), Received::Consumed);
    assert_eq!(talk(&mut client, now, honest), [Method::ALLOCATE]);
    let expected = Allocated {
        relayed: relayed(),
        additional: None,
        rejected: None,
        reservation: None,
        mapped: mapped(),
        lifetime: seconds(600),
    };
    assert_eq!(events(&mut client), [Event::Allocated(expected)]);
    assert_eq!(client.allocated(), Some(expected));
    assert_eq!(client.allocate(now), Err(RequestError::Allocated));
}

#[test]
fn rfc8489_9_2_5_a_wrong_password_is_refused_once_and_for_all() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    client.allocate(now).unwrap();
    let requests =
        talk(&mut client, now, |request| challenge(request, ErrorCode::UNAUTHENTICATED, "nonce"));
    assert_eq!(requests.len(), 2, "one without and one with credentials");
    let [
        Event::Failed {
            method: Method::ALLOCATE,
            failure: Failure::Refused(refusal),
            advice: Advice::GiveUp,
            ..
        },
    ] = &events(&mut client)[..]
    else {
        panic!("not refused")
    };
    assert_eq!(refusal.to_string(), "401 Unauthenticated");
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn rfc8489_9_2_5_a_stale_nonce_is_replaced() {
    let now = epoch();
    let mut client = allocated(Transport::Udp, now);
    client.permit(now, peer().ip()).unwrap();
    let mut nonces = Vec::new();
    talk(&mut client, now, |request| {
        let message = Message::decode(request).unwrap();
        let nonce = message.attribute::<Nonce<'_>>().unwrap().unwrap().0.to_owned();
        nonces.push(nonce.clone());
        if nonce == "nonce-2" {
            success(request)
        } else {
            challenge(request, ErrorCode::STALE_NONCE, "nonce-2")
        }
    });
    assert_eq!(nonces, ["nonce-1", "nonce-2"]);
    assert_eq!(events(&mut client), [Event::PermissionInstalled { peer: peer().ip() }]);
}

#[test]
fn an_endless_row_of_stale_nonces_is_cut() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    client.allocate(now).unwrap();
    let mut count = 0;
    talk(&mut client, now, |request| {
        count += 1;
        let code = if count == 1 { ErrorCode::UNAUTHENTICATED } else { ErrorCode::STALE_NONCE };
        challenge(request, code, &format!("nonce-{count}"))
    });
    assert_eq!(count, 5);
    assert_eq!(refused(&mut client), Some(ErrorCode::STALE_NONCE));
}

#[test]
fn rfc8489_9_2_5_forged_answers_change_nothing() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    client.allocate(now).unwrap();
    let first = sent(&mut client).remove(0).payload;
    assert_eq!(client.handle_input(now, server_address(), &honest(&first)), Received::Consumed);
    let request = sent(&mut client).remove(0).payload;
    let forged = answer(&request, Class::SuccessResponse, |writer| {
        writer
            .put(&XorRelayedAddress(peer()))
            .unwrap()
            .put(&XorMappedAddress(peer()))
            .unwrap()
            .put(&Lifetime(600))
            .unwrap();
    });
    let mut broken = success(&request);
    *broken.last_mut().unwrap() ^= 1;
    let bad_request = error(&request, ErrorCode::BAD_REQUEST, |_| {});
    for bytes in [forged, broken, bad_request] {
        assert!(matches!(
            client.handle_input(now, server_address(), &bytes),
            Received::Discarded(_)
        ));
    }
    assert!(
        matches!(client.handle_input(now, peer(), &success(&request)), Received::Discarded(_)),
        "from somewhere else"
    );
    assert_eq!(events(&mut client), []);
    assert_eq!(client.handle_input(now, server_address(), &success(&request)), Received::Consumed);
    assert_eq!(client.allocated().unwrap().relayed, relayed());
    assert!(
        matches!(
            client.handle_input(now, server_address(), &success(&request)),
            Received::Discarded(_)
        ),
        "a second time"
    );
}

#[test]
fn rfc8489_9_2_5_nothing_but_forged_answers_is_a_violation() {
    for (transport, after) in [(Transport::Udp, 39), (Transport::Tcp, 0)] {
        let start = epoch();
        let mut client = turn_client(transport);
        client.allocate(start).unwrap();
        let serve = |request: &[u8]| {
            let mut bytes = honest(request);
            if Message::decode(&bytes).unwrap().has_integrity() {
                *bytes.last_mut().unwrap() ^= 1;
            }
            bytes
        };
        talk(&mut client, start, serve);
        run(&mut client, start, start + seconds(after), serve);
        if transport == Transport::Udp {
            assert_eq!(events(&mut client), [], "repeated until the end");
            run(&mut client, start, start + seconds(40), serve);
        }
        assert!(
            matches!(
                events(&mut client)[..],
                [Event::Failed { failure: Failure::IntegrityViolated, .. }]
            ),
            "{transport:?}"
        );
    }
}

#[test]
fn rfc8489_6_2_1_silence_ends_after_seven_requests() {
    let start = epoch();
    let mut client = turn_client(Transport::Udp);
    client.allocate(start).unwrap();
    assert_eq!(sent(&mut client).len(), 1);
    let log = run(&mut client, start, start + seconds(60), |_| Vec::new());
    assert_eq!(log.len(), 6);
    assert!(matches!(events(&mut client)[..], [Event::Failed { failure: Failure::TimedOut, .. }]));
}

#[test]
fn rfc8489_6_3_4_server_errors_are_tried_four_times_more() {
    let start = epoch();
    let mut client = turn_client(Transport::Udp);
    client.allocate(start).unwrap();
    let mut count = 0;
    let mut serve = |request: &[u8]| {
        count += 1;
        error(request, ErrorCode::SERVER_ERROR, |_| {})
    };
    talk(&mut client, start, &mut serve);
    run(&mut client, start, start + seconds(60), &mut serve);
    assert_eq!(count, 5);
    assert_eq!(refused(&mut client), Some(ErrorCode::SERVER_ERROR));
}

#[test]
fn rfc8656_7_4_what_to_do_after_an_error() {
    let elsewhere = "192.0.2.99:3478".parse().unwrap();
    for (code, expected) in [
        (
            ErrorCode::TRY_ALTERNATE,
            Advice::OtherServer(Alternate {
                server: elsewhere,
                domain: Some("other.example.org".into()),
            }),
        ),
        (ErrorCode::ALLOCATION_MISMATCH, Advice::OtherLocalAddress),
        (ErrorCode::ALLOCATION_QUOTA_REACHED, Advice::Wait(seconds(60))),
        (ErrorCode::INSUFFICIENT_CAPACITY, Advice::Wait(seconds(60))),
        (ErrorCode::FORBIDDEN, Advice::GiveUp),
        (ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED, Advice::GiveUp),
        (ErrorCode::WRONG_CREDENTIALS, Advice::GiveUp),
        (ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL, Advice::GiveUp),
    ] {
        let now = epoch();
        let mut client = turn_client(Transport::Udp);
        client.allocate(now).unwrap();
        talk(&mut client, now, |request| {
            if !Message::decode(request).unwrap().has_integrity() {
                return honest(request);
            }
            error(request, code, |writer| {
                if code == ErrorCode::TRY_ALTERNATE {
                    writer
                        .put(&AlternateServer(elsewhere))
                        .unwrap()
                        .put(&AlternateDomain("other.example.org"))
                        .unwrap();
                }
                writer.integrity(&key()).unwrap();
            })
        });
        let [Event::Failed { failure: Failure::Refused(refusal), advice, .. }] =
            &events(&mut client)[..]
        else {
            panic!("{code}")
        };
        assert_eq!((refusal.code, advice), (code, &expected));
        assert_eq!(client.allocate(now), Ok(()), "the client is idle again");
    }
}

#[test]
fn rfc8656_7_3_an_allocation_of_another_family_is_deleted() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    client.allocate(now).unwrap();
    let methods = talk(&mut client, now, |request| {
        let message = Message::decode(request).unwrap();
        if message.method() != Method::ALLOCATE || !message.has_integrity() {
            return honest(request);
        }
        answer(request, Class::SuccessResponse, |writer| {
            writer.put(&XorRelayedAddress("[2001:db8::1]:5000".parse().unwrap())).unwrap();
            writer
                .put(&XorMappedAddress(mapped()))
                .unwrap()
                .put(&Lifetime(600))
                .unwrap()
                .integrity(&key())
                .unwrap();
        })
    });
    assert_eq!(methods, [Method::ALLOCATE, Method::ALLOCATE, Method::REFRESH]);
    assert!(matches!(events(&mut client)[..], [Event::Failed { failure: Failure::Malformed, .. }]));
}

#[test]
fn rfc8656_8_1_it_is_refreshed_before_it_expires() {
    let start = epoch();
    let mut client = allocated(Transport::Udp, start);
    let log = run(&mut client, start, start + seconds(3600), honest);
    assert_eq!(
        log.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
        [540, 1080, 1620, 2160, 2700, 3240]
    );
    assert!(log.iter().all(|(_, method)| *method == Method::REFRESH));
    assert_eq!(events(&mut client).len(), 6);
}

#[test]
fn rfc8656_8_3_without_an_answer_it_is_lost_when_it_expires() {
    let start = epoch();
    let mut client = allocated(Transport::Udp, start);
    let log = run(&mut client, start, start + seconds(700), |_| Vec::new());
    assert!(log.len() > 7, "tried again until the end");
    assert!(log.last().unwrap().0 < 600);
    let events = events(&mut client);
    assert_eq!(events.last(), Some(&Event::Lost(Loss::Expired)));
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(client.permit(start, peer().ip()), Err(RequestError::NoAllocation));
}

#[test]
fn rfc8656_8_3_a_mismatch_means_that_it_is_gone() {
    let start = epoch();
    let mut client = allocated(Transport::Udp, start);
    let serve = |request: &[u8]| {
        error(request, ErrorCode::ALLOCATION_MISMATCH, |writer| {
            writer.integrity(&key()).unwrap();
        })
    };
    run(&mut client, start, start + seconds(541), serve);
    assert!(matches!(events(&mut client)[..], [Event::Failed { .. }, Event::Lost(Loss::Mismatch)]));
}

#[test]
fn rfc8656_8_1_closing_refreshes_with_zero() {
    let now = epoch();
    let mut client = allocated(Transport::Udp, now);
    client.close(now);
    let mut lifetimes = Vec::new();
    talk(&mut client, now, |request| {
        lifetimes.push(Message::decode(request).unwrap().attribute::<Lifetime>().unwrap());
        success(request)
    });
    assert_eq!(lifetimes, [Some(Lifetime(0))]);
    assert_eq!(events(&mut client), [Event::Closed]);
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn what_is_allocated_after_closing_is_deleted() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    client.allocate(now).unwrap();
    client.close(now);
    assert_eq!(events(&mut client), [], "the server may still allocate");
    assert_eq!(
        talk(&mut client, now, honest),
        [Method::ALLOCATE, Method::ALLOCATE, Method::REFRESH]
    );
    assert_eq!(events(&mut client), [Event::Closed]);
    let mut client = turn_client(Transport::Udp);
    client.allocate(now).unwrap();
    client.close(now);
    sent(&mut client);
    run(&mut client, now, now + seconds(40), |_| Vec::new());
    assert_eq!(events(&mut client), [Event::Closed]);
}

#[test]
fn rfc8489_6_2_2_a_failed_connection_takes_the_allocation_along() {
    let now = epoch();
    let mut client = allocated(Transport::Tcp, now);
    client.permit(now, peer().ip()).unwrap();
    client.handle_transport_error(now);
    assert!(matches!(
        events(&mut client)[..],
        [Event::Failed { failure: Failure::Transport, .. }, Event::Lost(Loss::Transport)]
    ));
    let mut client = allocated(Transport::Udp, now);
    client.handle_transport_error(now);
    assert!(client.allocated().is_some(), "over UDP it lives on");
}

#[test]
fn rfc8656_5_a_mismatch_of_any_request_means_that_the_allocation_is_gone() {
    type Ask = fn(&mut causeway_client::TurnClient, std::time::Duration);
    let asks: [Ask; 2] = [
        |client, now| client.permit(now, peer().ip()).unwrap(),
        |client, now| client.bind(now, peer()).unwrap(),
    ];
    for ask in asks {
        let now = epoch();
        let mut client = allocated(Transport::Udp, now);
        ask(&mut client, now);
        talk(&mut client, now, |request| {
            error(request, ErrorCode::ALLOCATION_MISMATCH, |writer| {
                writer.integrity(&key()).unwrap();
            })
        });
        assert!(matches!(
            events(&mut client)[..],
            [Event::Failed { .. }, Event::Lost(Loss::Mismatch)]
        ));
        assert_eq!(client.allocated(), None);
    }
}

#[test]
fn rfc8489_5_a_repeated_request_keeps_its_transaction_and_a_new_one_has_another() {
    let start = epoch();
    let mut client = turn_client(Transport::Udp);
    client.allocate(start).unwrap();
    let first = sent(&mut client).remove(0).payload;
    let at = client.poll_timeout().unwrap();
    client.handle_timeout(at);
    assert_eq!(sent(&mut client).remove(0).payload, first, "bit-wise identical");
    assert_eq!(client.handle_input(at, server_address(), &honest(&first)), Received::Consumed);
    let second = sent(&mut client).remove(0).payload;
    let id = |bytes: &[u8]| Message::decode(bytes).unwrap().transaction_id();
    assert_ne!(id(&second), id(&first), "with credentials it is another request");
}

#[test]
fn rfc8489_6_1_software_is_told_if_it_shall_be() {
    use causeway_client::{TurnClient, TurnConfig};
    use causeway_wire::attribute::Software;
    let now = epoch();
    let config = TurnConfig {
        software: Some("Causeway 0.1".into()),
        ..TurnConfig::new(server_address(), Transport::Udp, None)
    };
    let mut client = TurnClient::new(config, rng());
    client.allocate(now).unwrap();
    let request = sent(&mut client).remove(0).payload;
    assert_eq!(
        Message::decode(&request).unwrap().attribute::<Software<'_>>().unwrap(),
        Some(Software("Causeway 0.1"))
    );
    assert!(
        !Message::decode(&asked_without()).unwrap().has(AttributeType::SOFTWARE),
        "\"a configurable option\""
    );
}

fn asked_without() -> Vec<u8> {
    let mut client = turn_client(Transport::Udp);
    client.allocate(epoch()).unwrap();
    sent(&mut client).remove(0).payload
}

#[test]
fn rfc8489_6_3_what_is_unknown_and_optional_or_known_and_unexpected_is_ignored() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    client.allocate(now).unwrap();
    talk(&mut client, now, |request| {
        if !Message::decode(request).unwrap().has_integrity() {
            return honest(request);
        }
        success_signed(request, |writer| {
            writer
                .put_raw(AttributeType(0xFFFE), b"whatever")
                .unwrap()
                .put_raw(AttributeType::CHANGE_REQUEST, &[0; 4])
                .unwrap();
            writer.integrity(&key()).unwrap();
        })
    });
    assert_eq!(client.allocated().unwrap().relayed, relayed());
}

#[test]
fn rfc8489_9_what_follows_the_integrity_is_ignored() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    client.allocate(now).unwrap();
    talk(&mut client, now, |request| {
        let message = Message::decode(request).unwrap();
        if message.method() != Method::ALLOCATE || !message.has_integrity() {
            return honest(request);
        }
        answer(request, Class::SuccessResponse, |writer| {
            writer
                .put(&XorMappedAddress(mapped()))
                .unwrap()
                .put(&Lifetime(600))
                .unwrap()
                .integrity(&key())
                .unwrap();
            writer.put(&XorRelayedAddress(relayed())).unwrap();
        })
    });
    assert!(
        matches!(events(&mut client)[..], [Event::Failed { failure: Failure::Malformed, .. }]),
        "the response is not authenticated"
    );
}

#[test]
fn rfc8656_7_3_the_lifetime_is_the_one_that_the_server_gives() {
    use causeway_client::{Credentials, TurnClient, TurnConfig};
    let now = epoch();
    let mut config =
        TurnConfig::new(server_address(), Transport::Udp, Some(Credentials::new("anna", PASSWORD)));
    config.lifetime = Some(seconds(3600));
    let mut client = TurnClient::new(config, rng());
    client.allocate(now).unwrap();
    talk(&mut client, now, honest);
    assert_eq!(
        client.allocated().unwrap().lifetime,
        seconds(600),
        "rather than the value sent to the server in the request"
    );
    assert_eq!(run(&mut client, now, now + seconds(600), honest), [(540, Method::REFRESH)]);
}
