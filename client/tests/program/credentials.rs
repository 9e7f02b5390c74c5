//! RFC 8489's long-term credentials: algorithms, USERHASH, bid-down, OpaqueString; and servers that
//! know nothing of them.

use std::time::Duration;

use crate::scripted::*;
use causeway_auth::{Key, userhash};
use causeway_client::{
    Algorithm, Credentials, Discard, Event, Failure, Received, Security, Transport, TurnClient,
    TurnConfig,
};
use causeway_wire::attribute::{
    Attribute, AttributeType, Nonce, PasswordAlgorithm, PasswordAlgorithmEntry, PasswordAlgorithms,
    Realm, Userhash, Username, XorMappedAddress,
};
use causeway_wire::{Class, ErrorCode, IntegrityKey, Message, Method};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Password algorithms, by either reading of RFC 8489 §18.1, and both.
const ALGORITHMS: [&str; 3] = ["obMatJos2gAAAxyz", "obMatJos2AAABxyz", "obMatJos2gAABxyz"];
/// The same with username anonymity.
const ANONYMITY: [&str; 3] = ["obMatJos2wAAAxyz", "obMatJos2AAADxyz", "obMatJos2wAADxyz"];

fn sha256_key() -> IntegrityKey {
    Key::long_term_sha256("anna", REALM, PASSWORD).integrity_key()
}

/// A list of algorithms as it stands in PASSWORD-ALGORITHMS.
fn list(entries: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (algorithm, parameters) in entries {
        let entry = PasswordAlgorithm(PasswordAlgorithmEntry { algorithm: *algorithm, parameters });
        let start = bytes.len();
        bytes.resize(start + entry.value_len(), 0);
        entry.write(&mut bytes[start..], &[0; 16]);
    }
    bytes
}

/// A 401 or 438 that offers `algorithms` under `nonce`.
fn offer(request: &[u8], code: ErrorCode, nonce: &str, algorithms: Option<&[u8]>) -> Vec<u8> {
    error(request, code, |writer| {
        writer.put(&Realm(REALM)).unwrap().put(&Nonce(nonce)).unwrap();
        if let Some(algorithms) = algorithms {
            writer.put_raw(AttributeType::PASSWORD_ALGORITHMS, algorithms).unwrap();
        }
    })
}

/// The client's second request, after the challenge; `None` if it gave up.
fn challenged(
    client: &mut TurnClient,
    now: Duration,
    nonce: &str,
    algorithms: Option<&[u8]>,
) -> Option<Vec<u8>> {
    client.allocate(now).unwrap();
    let first = sent(client).remove(0).payload;
    assert_eq!(
        client.handle_input(
            now,
            server_address(),
            &offer(&first, ErrorCode::UNAUTHENTICATED, nonce, algorithms)
        ),
        Received::Consumed
    );
    sent(client).pop().map(|transmit| transmit.payload)
}

#[test]
fn rfc8489_9_2_3_1_the_first_request_carries_nothing_of_the_mechanism() {
    let mut client = turn_client(Transport::Udp);
    client.allocate(epoch()).unwrap();
    let first = sent(&mut client).remove(0).payload;
    let message = Message::decode(&first).unwrap();
    for kind in [
        AttributeType::USERNAME,
        AttributeType::USERHASH,
        AttributeType::REALM,
        AttributeType::NONCE,
        AttributeType::PASSWORD_ALGORITHMS,
        AttributeType::PASSWORD_ALGORITHM,
    ] {
        assert!(!message.has(kind), "{kind:?}");
    }
    assert!(!message.has_integrity() && !message.has_integrity_sha256());
}

#[test]
fn rfc8489_9_2_5_the_algorithms_are_echoed_and_sha256_protects() {
    for nonce in ALGORITHMS {
        let now = epoch();
        let mut client = turn_client(Transport::Udp);
        let offered = list(&[(2, b""), (1, b"")]);
        let request = challenged(&mut client, now, nonce, Some(&offered)).unwrap();
        let message = Message::decode(&request).unwrap();
        assert_eq!(
            message.attribute::<PasswordAlgorithms<'_>>().unwrap(),
            Some(PasswordAlgorithms::SHA256_MD5)
        );
        assert_eq!(message.attribute::<PasswordAlgorithm<'_>>().unwrap().unwrap().0.algorithm, 2);
        assert_eq!(message.attribute::<Username<'_>>().unwrap(), Some(Username("anna")));
        assert!(!message.has(AttributeType::USERHASH) && !message.has_integrity());
        assert!(message.verify_integrity_sha256(&sha256_key(), 32), "{nonce}");
        assert_eq!(
            client.security(),
            Some(Security {
                algorithm: Algorithm::Sha256,
                sha256_integrity: true,
                userhash: false
            })
        );

        let weaker = success_signed(&request, |writer| {
            writer.integrity(&sha256_key()).unwrap();
        });
        assert_eq!(
            client.handle_input(now, server_address(), &weaker),
            Received::Discarded(Discard::Unauthentic)
        );
        let right = success_signed(&request, |writer| {
            writer.integrity_sha256(&sha256_key()).unwrap();
        });
        assert_eq!(client.handle_input(now, server_address(), &right), Received::Consumed);
        assert!(matches!(events(&mut client)[..], [Event::Allocated(_)]));

        client.permit(now, peer().ip()).unwrap();
        let next = sent(&mut client).remove(0).payload;
        let next = Message::decode(&next).unwrap();
        assert!(
            next.verify_integrity_sha256(&sha256_key(), 32) && !next.has_integrity(),
            "all the subsequent requests"
        );
        assert!(
            next.has(AttributeType::PASSWORD_ALGORITHM)
                && next.has(AttributeType::REALM)
                && next.has(AttributeType::NONCE)
        );
    }
}

#[test]
fn rfc8656_6_sha256_is_chosen_wherever_it_stands_in_the_list() {
    let parameters: &[u8] = &[1, 2, 3, 4, 5];
    for (offered, chosen) in [
        (list(&[(1, b""), (2, b"")]), Algorithm::Sha256),
        (list(&[(0x7FFF, parameters), (2, b""), (1, b"")]), Algorithm::Sha256),
        (list(&[(1, b"")]), Algorithm::Md5),
        (list(&[(2, parameters), (1, b"")]), Algorithm::Md5),
    ] {
        let mut client = turn_client(Transport::Udp);
        let request = challenged(&mut client, epoch(), ALGORITHMS[2], Some(&offered)).unwrap();
        let message = Message::decode(&request).unwrap();
        let echoed = message
            .attributes()
            .find(|raw| raw.kind == AttributeType::PASSWORD_ALGORITHMS)
            .unwrap();
        assert_eq!(echoed.value, offered, "the same content");
        assert_eq!(
            message.attribute::<PasswordAlgorithm<'_>>().unwrap().unwrap().0.algorithm,
            chosen.number()
        );
        let key = Key::long_term(chosen, "anna", REALM, PASSWORD).integrity_key();
        assert!(message.verify_integrity_sha256(&key, 32) && !message.has_integrity());
        assert_eq!(
            client.security(),
            Some(Security { algorithm: chosen, sha256_integrity: true, userhash: false })
        );
    }
}

#[test]
fn rfc8489_9_2_5_without_a_known_algorithm_there_is_no_retry() {
    for offered in
        [list(&[(0x7FFF, b"")]), list(&[(2, b"x"), (1, b"y")]), Vec::new(), vec![0, 2, 0]]
    {
        let mut client = turn_client(Transport::Udp);
        assert_eq!(challenged(&mut client, epoch(), ALGORITHMS[0], Some(&offered)), None);
        assert!(
            matches!(events(&mut client)[..], [Event::Failed { failure: Failure::Challenge, .. }]),
            "{offered:?}"
        );
    }
}

#[test]
fn rfc8489_9_2_5_a_challenge_that_was_bid_down_is_not_answered() {
    for nonce in ALGORITHMS.into_iter().chain(ANONYMITY) {
        let mut client = turn_client(Transport::Udp);
        assert_eq!(challenged(&mut client, epoch(), nonce, None), None, "{nonce}");
        assert!(
            matches!(events(&mut client)[..], [Event::Failed { failure: Failure::Challenge, .. }]),
            "{nonce}"
        );
    }
}

#[test]
fn rfc8489_9_2_5_a_later_challenge_cannot_take_sha256_back() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    let request = challenged(&mut client, now, ALGORITHMS[2], Some(&list(&[(2, b"")]))).unwrap();
    let stale = offer(&request, ErrorCode::STALE_NONCE, "no-cookie", None);
    assert_eq!(client.handle_input(now, server_address(), &stale), Received::Consumed);
    assert_eq!(sent(&mut client), []);
    assert!(matches!(events(&mut client)[..], [Event::Failed { failure: Failure::Challenge, .. }]));
}

#[test]
fn rfc8489_9_2_5_answers_that_were_bid_down_are_ignored() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    let request = challenged(&mut client, now, ALGORITHMS[2], Some(&list(&[(2, b"")]))).unwrap();
    let stripped = success_signed(&request, |writer| {
        writer.put(&Nonce(ALGORITHMS[2])).unwrap().integrity_sha256(&sha256_key()).unwrap();
    });
    assert_eq!(
        client.handle_input(now, server_address(), &stripped),
        Received::Discarded(Discard::Unauthentic)
    );
    assert_eq!(events(&mut client), []);
    let whole = success_signed(&request, |writer| {
        writer
            .put(&Nonce(ALGORITHMS[2]))
            .unwrap()
            .put(&PasswordAlgorithms::SHA256_MD5)
            .unwrap()
            .integrity_sha256(&sha256_key())
            .unwrap();
    });
    assert_eq!(client.handle_input(now, server_address(), &whole), Received::Consumed);
    assert!(client.allocated().is_some());
}

#[test]
fn rfc8489_9_2_5_username_anonymity_demands_userhash() {
    for nonce in ANONYMITY {
        let mut client = turn_client(Transport::Udp);
        let request =
            challenged(&mut client, epoch(), nonce, Some(&list(&[(2, b""), (1, b"")]))).unwrap();
        let message = Message::decode(&request).unwrap();
        assert_eq!(
            message.attribute::<Userhash>().unwrap(),
            Some(Userhash(userhash("anna", REALM))),
            "{nonce}"
        );
        assert!(!message.has(AttributeType::USERNAME), "or it would not be anonymous");
        assert!(message.verify_integrity_sha256(&sha256_key(), 32));
        assert!(client.security().unwrap().userhash);
    }
    // Anonymity alone: an old key under a new name.
    for nonce in ["obMatJos2QAAAxyz", "obMatJos2AAACxyz"] {
        let mut client = turn_client(Transport::Udp);
        let request = challenged(&mut client, epoch(), nonce, None).unwrap();
        let message = Message::decode(&request).unwrap();
        assert!(
            message.has(AttributeType::USERHASH)
                && !message.has(AttributeType::USERNAME)
                && message.verify_integrity(&key())
        );
        assert_eq!(
            client.security(),
            Some(Security { algorithm: Algorithm::Md5, sha256_integrity: false, userhash: true })
        );
    }
}

#[test]
fn rfc8489_9_2_5_a_stale_nonce_is_answered_with_all_that_belongs_to_it() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    let request = challenged(&mut client, now, ANONYMITY[2], Some(&list(&[(2, b"")]))).unwrap();
    let fresh = "obMatJos2wAADfresh";
    let stale = offer(&request, ErrorCode::STALE_NONCE, fresh, Some(&list(&[(2, b"")])));
    assert_eq!(client.handle_input(now, server_address(), &stale), Received::Consumed);
    let request = sent(&mut client).remove(0).payload;
    let message = Message::decode(&request).unwrap();
    assert_eq!(message.attribute::<Nonce<'_>>().unwrap(), Some(Nonce(fresh)));
    assert!(
        message.has(AttributeType::USERHASH)
            && message.has(AttributeType::REALM)
            && message.verify_integrity_sha256(&sha256_key(), 32)
    );
}

#[test]
fn rfc8489_9_2_5_an_unprotected_bad_request_was_never_received() {
    let start = epoch();
    let mut client = turn_client(Transport::Udp);
    let request = challenged(&mut client, start, ALGORITHMS[2], Some(&list(&[(2, b"")]))).unwrap();
    let bare = error(&request, ErrorCode::BAD_REQUEST, |_| {});
    assert_eq!(
        client.handle_input(start, server_address(), &bare),
        Received::Discarded(Discard::Unauthentic)
    );
    let log = run(&mut client, start, start + seconds(60), |request| {
        error(request, ErrorCode::BAD_REQUEST, |_| {})
    });
    assert_eq!(log.len(), 6, "retransmits continue");
    assert!(matches!(
        events(&mut client)[..],
        [Event::Failed { failure: Failure::IntegrityViolated, .. }]
    ));
}

#[test]
fn rfc8489_14_6_a_truncated_integrity_is_none() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    let request = challenged(&mut client, now, ALGORITHMS[2], Some(&list(&[(2, b"")]))).unwrap();
    let mut truncated = success_signed(&request, |_| {});
    let length = u16::try_from(truncated.len() - 20 + 4 + 16).unwrap();
    truncated[2..4].copy_from_slice(&length.to_be_bytes());
    let key = Key::long_term_sha256("anna", REALM, PASSWORD);
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .unwrap()
        .chain_update(&truncated)
        .finalize()
        .into_bytes();
    truncated.extend([0, 0x1C, 0, 16]);
    truncated.extend(&mac[..16]);
    assert!(
        Message::decode(&truncated).unwrap().verify_integrity_sha256(&sha256_key(), 16),
        "right as far as it goes"
    );
    assert!(Message::decode(&truncated).is_ok_and(|message| message.has_integrity_sha256()));
    assert_eq!(
        client.handle_input(now, server_address(), &truncated),
        Received::Discarded(Discard::Unauthentic)
    );
}

#[test]
fn rfc8489_9_2_5_a_server_of_rfc_5389_notices_nothing() {
    for nonce in ["4ca1e", "obMatJos2AAAAxyz", "obMatJos2g"] {
        let now = epoch();
        let mut client = turn_client(Transport::Udp);
        let request = challenged(&mut client, now, nonce, None).unwrap();
        let message = Message::decode(&request).unwrap();
        assert!(message.verify_integrity(&key()) && !message.has_integrity_sha256());
        assert!(
            !message.has(AttributeType::PASSWORD_ALGORITHM)
                && !message.has(AttributeType::USERHASH)
        );
        assert_eq!(
            client.handle_input(now, server_address(), &success(&request)),
            Received::Consumed
        );
        assert_eq!(
            client.security(),
            Some(Security { algorithm: Algorithm::Md5, sha256_integrity: false, userhash: false })
        );
    }
}

#[test]
fn rfc8489_9_2_2_names_realms_and_passwords_beyond_ascii_are_prepared() {
    let now = epoch();
    // RFC 8265 §4.2.2: U+3000 becomes a space, a letter and its accent one code point; upper and
    // lower case stay.
    let credentials = Credentials::new("Zoe\u{308}\u{3000}M", "pa\u{30A}ss\u{A0}word");
    let mut client = TurnClient::new(
        TurnConfig::new(server_address(), Transport::Udp, Some(credentials)),
        rng(),
    );
    client.allocate(now).unwrap();
    let first = sent(&mut client).remove(0).payload;
    let realm = "re\u{301}gion";
    let bytes = error(&first, ErrorCode::UNAUTHENTICATED, |writer| {
        writer.put(&Realm(realm)).unwrap().put(&Nonce("nonce")).unwrap();
    });
    assert_eq!(client.handle_input(now, server_address(), &bytes), Received::Consumed);
    let request = sent(&mut client).remove(0).payload;
    let message = Message::decode(&request).unwrap();
    assert_eq!(message.attribute::<Username<'_>>().unwrap(), Some(Username("Zoë M")));
    assert_eq!(
        message.attribute::<Realm<'_>>().unwrap(),
        Some(Realm(realm)),
        "copied from the error response"
    );
    assert!(
        message
            .verify_integrity(&Key::long_term_md5("Zoë M", "région", "påss word").integrity_key())
    );
}

#[test]
fn rfc8489_14_8_only_a_protected_300_leads_elsewhere() {
    use causeway_client::{Advice, Alternate};
    use causeway_wire::attribute::AlternateServer;
    let elsewhere = "192.0.2.99:3478".parse().unwrap();
    let redirect = |request: &[u8], sign: bool| {
        error(request, ErrorCode::TRY_ALTERNATE, |writer| {
            writer.put(&AlternateServer(elsewhere)).unwrap();
            if sign {
                writer.integrity(&key()).unwrap();
            }
        })
    };
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    client.allocate(now).unwrap();
    talk(&mut client, now, |request| redirect(request, false));
    let [Event::Failed { failure: Failure::Refused(refusal), advice: Advice::GiveUp, .. }] =
        &events(&mut client)[..]
    else {
        panic!()
    };
    assert_eq!((refusal.code, &refusal.alternate), (ErrorCode::TRY_ALTERNATE, &None));

    client.allocate(now).unwrap();
    talk(&mut client, now, |request| {
        if Message::decode(request).unwrap().has_integrity() {
            redirect(request, true)
        } else {
            honest(request)
        }
    });
    let [Event::Failed { advice: Advice::OtherServer(alternate), .. }] = &events(&mut client)[..]
    else {
        panic!()
    };
    assert_eq!(*alternate, Alternate { server: elsewhere, domain: None });
}

#[test]
fn rfc8489_9_2_5_the_answer_to_a_request_with_md5_under_sha256_is_checked_alike() {
    let now = epoch();
    let mut client = turn_client(Transport::Udp);
    let request = challenged(&mut client, now, ALGORITHMS[2], Some(&list(&[(1, b"")]))).unwrap();
    let answer = answer(&request, Class::ErrorResponse, |writer| {
        writer.put(&XorMappedAddress(mapped())).unwrap().integrity(&key()).unwrap();
    });
    assert_eq!(
        client.handle_input(now, server_address(), &answer),
        Received::Discarded(Discard::Unauthentic),
        "MESSAGE-INTEGRITY is not what was asked with"
    );
    let right = success_signed(&request, |writer| {
        writer.integrity_sha256(&key()).unwrap();
    });
    assert_eq!(client.handle_input(now, server_address(), &right), Received::Consumed);
    assert_eq!(Message::decode(&right).unwrap().method(), Method::ALLOCATE);
    assert!(client.allocated().is_some());
}
