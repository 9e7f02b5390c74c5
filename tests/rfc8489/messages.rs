//! RFC 8489 §5 to §7 and §14: receiving messages and forming responses.

use causeway_relay::{Discard, Transport};
use causeway_tests::addresses::peer;
use causeway_tests::{Answer, Client, Fill, Lab, Reaction};
use causeway_wire::attribute::{
    AttributeType, Data, Lifetime, MappedAddress, Software, XorPeerAddress,
};
use causeway_wire::{Class, ErrorCode, Message, MessageWriter, Method};

#[test]
fn rfc8489_5_the_header_of_every_answer() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let id = client.next_transaction();
    let mut answers = vec![
        lab.client_sends(&client.five_tuple, &client.unsigned(id, Method::BINDING, &|_| Ok(())))
            .answer(),
        lab.client_sends(&client.five_tuple, &client.unsigned(id, Method::ALLOCATE, &|_| Ok(())))
            .answer(),
    ];
    client.allocate(&mut lab);
    answers.push(client.refresh(&mut lab, 600));
    answers.push(client.ask(&mut lab, Method::CHANNEL_BIND, &|_| Ok(())).answer());
    answers.push(
        client
            .ask(&mut lab, Method::REFRESH, &|w| w.put_raw(AttributeType(0x7FFF), &[1]).map(drop))
            .answer(),
    );
    for answer in answers {
        let bytes = &answer.bytes;
        assert_eq!(bytes[0] & 0xC0, 0, "the most significant two bits");
        assert_eq!(bytes[4..8], [0x21, 0x12, 0xA4, 0x42], "the cookie");
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        assert_eq!((length, length % 4), (bytes.len() - 20, 0), "without the header");
    }
}

#[test]
fn rfc8489_14_5_and_14_6_and_14_7_other_lengths_of_mac_and_crc_are_no_stun() {
    let (mut lab, client, _) = binding();
    for (kind, lengths) in [
        (AttributeType::MESSAGE_INTEGRITY, &[0, 16, 19, 21, 32][..]),
        (AttributeType::MESSAGE_INTEGRITY_SHA256, &[0, 12, 15, 17, 18, 36]),
        (AttributeType::FINGERPRINT, &[0, 3, 5, 8]),
    ] {
        for &len in lengths {
            let mut bytes = vec![0; 128];
            let mut writer = MessageWriter::new(
                &mut bytes,
                Class::Request,
                Method::BINDING,
                causeway_wire::TransactionId([5; 12]),
            )
            .unwrap();
            writer.put_raw(kind, &[7; 64][..len]).unwrap();
            let end = writer.finish();
            assert_eq!(
                lab.client_sends(&client.five_tuple, &bytes[..end]),
                Reaction::Silence(Discard::Malformed),
                "{kind:?} of {len}"
            );
        }
    }
    // "at least 16 bytes and MUST be a multiple of 4 bytes": a truncated one is STUN, and Binding
    // does not need one.
    for len in [16, 20, 24, 28, 32] {
        let request = message(Class::Request, Method::BINDING, &|w| {
            w.put_raw(AttributeType::MESSAGE_INTEGRITY_SHA256, &[7; 32][..len]).map(drop)
        });
        assert_eq!(lab.client_sends(&client.five_tuple, &request).answer().error(), None);
    }
}

#[test]
fn rfc8489_14_7_nothing_follows_fingerprint() {
    let (mut lab, client, _) = binding();
    let mut bytes = [0; 64];
    let mut writer = MessageWriter::new(
        &mut bytes,
        Class::Request,
        Method::BINDING,
        causeway_wire::TransactionId([5; 12]),
    )
    .unwrap();
    writer.fingerprint().unwrap().put(&Lifetime(1)).unwrap();
    let len = writer.finish();
    assert_eq!(
        lab.client_sends(&client.five_tuple, &bytes[..len]),
        Reaction::Silence(Discard::Malformed)
    );
}

#[test]
fn rfc8489_6_3_a_message_that_breaks_the_frame_is_discarded() {
    let (mut lab, client, request) = binding();
    let mut two_bits = request.clone();
    two_bits[0] |= 0x40;
    let mut odd = request.clone();
    odd[3] = 2;
    let mut longer = request.clone();
    longer[3] = 4;
    let mut trailing = request.clone();
    trailing.push(0);
    for broken in [&two_bits[..], &odd, &longer, &trailing, &request[..19], &request[..1]] {
        assert!(lab.client_sends(&client.five_tuple, broken).silence().is_some(), "{broken:?}");
    }
    assert_eq!(lab.client_sends(&client.five_tuple, &request).answer().error(), None);
}

#[test]
fn rfc8489_11_without_the_cookie_only_binding_is_answered_and_over_dtls_nothing_but_500() {
    let mut lab = Lab::default();
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls] {
        let client = Client::at(Client::udp(1).five_tuple.client, transport);
        for method in [Method::BINDING, Method::ALLOCATE] {
            let mut request = message(Class::Request, method, &|_| Ok(()));
            request[5] ^= 1;
            let reaction = lab.client_sends(&client.five_tuple, &request);
            if transport != Transport::Dtls && method == Method::ALLOCATE {
                assert_eq!(reaction, Reaction::Silence(Discard::NoCookie));
                continue;
            }
            let answer = reaction.answer();
            assert_eq!(answer.error(), (transport == Transport::Dtls).then_some(500));
            assert_eq!(
                (answer.bytes[4..20].to_vec(), answer.has(AttributeType::XOR_MAPPED_ADDRESS)),
                (request[4..20].to_vec(), false)
            );
            let mapped =
                (transport != Transport::Dtls).then_some(MappedAddress(client.five_tuple.client));
            assert_eq!(answer.message().attribute::<MappedAddress>(), Ok(mapped));
        }
        let mut indication = message(Class::Indication, Method::SEND, &|_| Ok(()));
        indication[5] ^= 1;
        assert_eq!(
            lab.client_sends(&client.five_tuple, &indication),
            Reaction::Silence(Discard::NoCookie)
        );
    }
}

#[test]
fn rfc8489_6_3_an_unsupported_method_is_discarded() {
    let (mut lab, client, _) = binding();
    for method in [0x000, 0x002, 0x005, 0x00A, 0x00D, 0x0FF] {
        let method = Method::new(method).unwrap();
        let request = message(Class::Request, method, &|_| Ok(()));
        assert_eq!(
            lab.client_sends(&client.five_tuple, &request),
            Reaction::Silence(Discard::Unsupported),
            "{method:?}"
        );
    }
    let beyond_the_first_byte = message(Class::Request, Method::new(0xFFF).unwrap(), &|_| Ok(()));
    assert_eq!(
        lab.client_sends(&client.five_tuple, &beyond_the_first_byte),
        Reaction::Silence(Discard::NotStun)
    );
}

#[test]
fn rfc8489_6_3_a_class_that_the_method_does_not_have_is_discarded() {
    let (mut lab, client, _) = binding();
    for (class, method) in [
        (Class::Request, Method::SEND),
        (Class::Request, Method::DATA),
        (Class::Indication, Method::ALLOCATE),
        (Class::Indication, Method::REFRESH),
        (Class::Indication, Method::DATA),
        (Class::SuccessResponse, Method::BINDING),
        (Class::ErrorResponse, Method::ALLOCATE),
        (Class::SuccessResponse, Method::SEND),
    ] {
        let request = message(class, method, &|_| Ok(()));
        assert_eq!(
            lab.client_sends(&client.five_tuple, &request),
            Reaction::Silence(Discard::Unsupported),
            "{class:?} {method:?}"
        );
    }
}

#[test]
fn rfc8489_6_3_1_unknown_required_attributes_are_listed_in_a_420() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    let unknown = [
        AttributeType(0x0003),
        AttributeType(0x7FFE),
        AttributeType::PRIORITY,
        AttributeType(0x002F),
    ];
    for method in
        [Method::ALLOCATE, Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND]
    {
        let answer = client.ask(&mut lab, method, &|w| {
            for kind in unknown.iter().chain(&unknown) {
                w.put_raw(*kind, &[1, 2, 3])?;
            }
            w.put_raw(AttributeType(0x8777), &[]).map(drop)
        });
        let answer = answer.answer();
        assert_eq!(
            (answer.error(), answer.unknown()),
            (Some(420), unknown.to_vec()),
            "each once, without the optional one"
        );
        assert!(answer.is_signed_with(&client.key()));
    }
}

#[test]
fn rfc8489_6_3_unknown_attributes_are_looked_at_after_authentication() {
    let (mut lab, client, _) = binding();
    let request = message(Class::Request, Method::ALLOCATE, &|w| {
        w.put_raw(AttributeType(0x7FFF), &[]).map(drop)
    });
    assert_eq!(
        lab.client_sends(&client.five_tuple, &request).answer().error(),
        Some(401),
        "not 420"
    );
}

#[test]
fn rfc8489_6_3_known_but_unexpected_attributes_are_ignored() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    let answer = client.ask(&mut lab, Method::REFRESH, &|w| {
        w.put_raw(AttributeType::CHANNEL_NUMBER, &[1])?;
        w.put_raw(AttributeType::XOR_PEER_ADDRESS, &[])?;
        w.put_raw(AttributeType::DATA, b"data")?;
        w.put_raw(AttributeType::XOR_RELAYED_ADDRESS, &[7; 3])?;
        w.put_raw(AttributeType::ERROR_CODE, &[])?;
        w.put_raw(AttributeType::REQUESTED_TRANSPORT, &[6, 0, 0, 0]).map(drop)
    });
    assert_eq!(answer.answer().error(), None);
}

#[test]
fn rfc8489_6_3_unknown_optional_attributes_are_ignored() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    client.permit(&mut lab, &[peer(1, 1)]);
    let answer = client.ask(&mut lab, Method::REFRESH, &|w| {
        w.put_raw(AttributeType(0xC057), &[0xFF; 9]).map(drop)
    });
    assert_eq!(answer.answer().error(), None);
    let indication = message(Class::Indication, Method::SEND, &|w| {
        w.put_raw(AttributeType(0xFFFF), &[1])?
            .put(&XorPeerAddress(peer(1, 1)))?
            .put(&Data(b"x"))
            .map(drop)
    });
    assert_eq!(
        lab.client_sends(&client.five_tuple, &indication).to_peer(),
        Some((relayed, peer(1, 1), &b"x"[..]))
    );
}

#[test]
fn rfc8489_6_3_2_an_indication_with_an_unknown_required_attribute_is_discarded() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    client.permit(&mut lab, &[peer(1, 1)]);
    let indication = message(Class::Indication, Method::SEND, &|w| {
        w.put(&XorPeerAddress(peer(1, 1)))?
            .put(&Data(b"x"))?
            .put_raw(AttributeType(0x7FFF), &[])
            .map(drop)
    });
    assert_eq!(
        lab.client_sends(&client.five_tuple, &indication),
        Reaction::Silence(Discard::UnknownAttribute)
    );
}

#[test]
fn rfc8489_6_3_1_the_answer_has_method_and_transaction_of_its_request() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    for method in [
        Method::ALLOCATE,
        Method::REFRESH,
        Method::CREATE_PERMISSION,
        Method::CHANNEL_BIND,
        Method::BINDING,
    ] {
        let id = client.next_transaction();
        for request in
            [client.unsigned(id, method, &|_| Ok(())), client.signed(id, method, &|_| Ok(()))]
        {
            let answer = lab.client_sends(&client.five_tuple, &request).answer();
            assert_eq!(
                (answer.method(), answer.message().transaction_id(), answer.to),
                (method, id, client.five_tuple)
            );
        }
    }
}

#[test]
fn rfc8489_6_3_1_1_error_code_and_a_reason_stand_in_every_error() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    let mut seen = Vec::new();
    let mut note = |answer: Answer| {
        let message = answer.message();
        let error = message
            .attribute::<causeway_wire::attribute::ErrorCodeAttribute<'_>>()
            .unwrap()
            .unwrap();
        assert_eq!(error.reason, ErrorCode::new(error.code.number()).unwrap().reason());
        assert!((1..128).contains(&error.reason.len()));
        seen.push(error.code.number());
    };
    note(client.ask(&mut lab, Method::ALLOCATE, &|_| Ok(())).answer());
    note(client.ask(&mut lab, Method::CHANNEL_BIND, &|_| Ok(())).answer());
    note(
        client
            .ask(&mut lab, Method::REFRESH, &|w| w.put_raw(AttributeType(0x7FFF), &[]).map(drop))
            .answer(),
    );
    assert_eq!(seen, [437, 400, 420]);
}

#[test]
fn rfc8489_6_3_1_binding_is_answered_without_credentials() {
    let (mut lab, client, request) = binding();
    let answer = lab.client_sends(&client.five_tuple, &request).answer();
    assert_eq!((answer.error(), answer.mapped()), (None, Some(client.five_tuple.client)));
    assert!(answer.is_unsigned());
    let v6 = Client::udp_v6(1);
    assert_eq!(
        lab.client_sends(&v6.five_tuple, &request).answer().mapped(),
        Some(v6.five_tuple.client)
    );
    let unknown = message(Class::Request, Method::BINDING, &|w| {
        w.put_raw(AttributeType(0x7FFF), &[]).map(drop)
    });
    assert_eq!(
        lab.client_sends(&client.five_tuple, &unknown).answer().unknown(),
        [AttributeType(0x7FFF)]
    );
}

#[test]
fn rfc8489_6_3_2_a_binding_indication_is_a_keepalive() {
    let (mut lab, client, _) = binding();
    let indication = message(Class::Indication, Method::BINDING, &|_| Ok(()));
    assert_eq!(
        lab.client_sends(&client.five_tuple, &indication),
        Reaction::Silence(Discard::Keepalive)
    );
}

#[test]
fn rfc8489_6_3_1_retransmitted_requests_leave_the_state_as_one_would() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    let id = client.next_transaction();
    let allocate = client.signed(id, Method::ALLOCATE, &|w| {
        w.put(&causeway_wire::attribute::RequestedTransport::UDP).map(drop)
    });
    let refresh = {
        let id = client.next_transaction();
        client.signed(id, Method::REFRESH, &|w| w.put(&Lifetime(900)).map(drop))
    };
    for request in [allocate, refresh] {
        let answers: Vec<_> =
            (0..3).map(|_| lab.client_sends(&client.five_tuple, &request).answer()).collect();
        assert!(answers[0].error().is_none() && answers.iter().all(|answer| *answer == answers[0]));
    }
    assert_eq!(lab.server.gauges().allocations, 1);
}

#[test]
fn rfc8489_7_fingerprint_is_answered_with_fingerprint_and_only_then() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    for fingerprint in [true, false] {
        client.fingerprint = fingerprint;
        let id = client.next_transaction();
        let expected = fingerprint.then_some(true);
        let challenged = lab
            .client_sends(&client.five_tuple, &client.unsigned(id, Method::ALLOCATE, &|_| Ok(())))
            .answer();
        assert_eq!(challenged.message().fingerprint(), expected);
        client.allocate(&mut lab);
        let binding = lab
            .client_sends(&client.five_tuple, &client.unsigned(id, Method::BINDING, &|_| Ok(())))
            .answer();
        assert_eq!(binding.message().fingerprint(), expected);
        for lifetime in [600, 0, 0] {
            let answer = client.refresh(&mut lab, lifetime);
            assert_eq!(answer.message().fingerprint(), expected, "{:?}", answer.error());
        }
    }
}

#[test]
fn rfc8489_7_fingerprint_is_mirrored_in_the_answer_that_waited_for_a_port() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fingerprint = true;
    client.fetch_nonce(&mut lab);
    lab.pool.hold = true;
    let allocate: Fill<'_> =
        &|w| w.put(&causeway_wire::attribute::RequestedTransport::UDP).map(drop);
    client.ask_once(&mut lab, Method::ALLOCATE, allocate);
    let [Reaction::Answer(answer)] = &lab.complete()[..] else { panic!("one answer") };
    assert_eq!((answer.error(), answer.message().fingerprint()), (None, Some(true)));
}

#[test]
fn rfc8489_14_7_fingerprint_is_the_last_attribute() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fingerprint = true;
    client.allocate(&mut lab);
    let answer = client.refresh(&mut lab, 600);
    assert_eq!(answer.bytes[answer.bytes.len() - 8..][..4], [0x80, 0x28, 0, 4]);
}

#[test]
fn rfc8489_14_pad_bytes_are_zero_on_sending_and_ignored_on_receiving() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    client.permit(&mut lab, &[peer(1, 1)]);
    let mut indication = message(Class::Indication, Method::SEND, &|w| {
        w.put(&XorPeerAddress(peer(1, 1)))?.put(&Data(b"abc")).map(drop)
    });
    *indication.last_mut().unwrap() = 0xFF;
    assert_eq!(
        lab.client_sends(&client.five_tuple, &indication).to_peer(),
        Some((relayed, peer(1, 1), &b"abc"[..]))
    );
    let reaction = lab.peer_sends(peer(1, 1), relayed, b"abc").unwrap();
    assert_eq!(*reaction.to_client().unwrap().last().unwrap(), 0);
}

#[test]
fn rfc8489_6_3_1_1_software_is_named_only_where_the_operator_wants_it() {
    for software in [None, Some("causeway")] {
        let (mut lab, mut client) = (Lab::with(|setup| setup.software = software), Client::udp(1));
        let id = client.next_transaction();
        let challenged = lab
            .client_sends(&client.five_tuple, &client.unsigned(id, Method::ALLOCATE, &|_| Ok(())))
            .answer();
        assert!(!challenged.has(AttributeType::SOFTWARE), "never before the client has logged in");
        client.allocate(&mut lab);
        let refreshed = client.refresh(&mut lab, 600);
        assert_eq!(refreshed.message().attribute::<Software<'_>>(), Ok(software.map(Software)));
        assert!(refreshed.is_signed_with(&client.key()), "under the integrity");
    }
}

#[test]
fn rfc8489_6_1_no_answer_exceeds_the_smallest_path_mtu() {
    let (mut lab, mut client) =
        (Lab::with(|setup| setup.software = Some("causeway 0.1.0")), Client::udp_v6(1));
    client.fingerprint = true;
    let id = client.next_transaction();
    let challenged = lab
        .client_sends(&client.five_tuple, &client.unsigned(id, Method::ALLOCATE, &|_| Ok(())))
        .answer();
    client.allocate(&mut lab);
    let unknown = client.ask(&mut lab, Method::REFRESH, &|w| {
        (0x7F00..0x7FFF).try_for_each(|kind| w.put_raw(AttributeType(kind), &[]).map(drop))
    });
    for answer in [challenged, unknown.answer(), client.refresh(&mut lab, 600)] {
        assert!(answer.bytes.len() + 28 <= 576, "{} bytes", answer.bytes.len());
    }
}

fn message(class: Class, method: Method, fill: Fill<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    let mut writer =
        MessageWriter::new(&mut bytes, class, method, causeway_wire::TransactionId([5; 12]))
            .unwrap();
    fill(&mut writer).unwrap();
    let len = writer.finish();
    bytes.truncate(len);
    assert!(Message::decode(&bytes).is_ok());
    bytes
}

fn binding() -> (Lab, Client, Vec<u8>) {
    (Lab::default(), Client::udp(1), message(Class::Request, Method::BINDING, &|_| Ok(())))
}
