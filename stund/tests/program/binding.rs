//! Binding (RFC 8489) through the real binary.

use std::io::Write;
use std::net::SocketAddr;

use crate::support::{
    ID, Stund, ask, assert_silence, client, connect, plain_request, read_message, request, unknown,
};
use causeway_wire::attribute::{
    AttributeType, ErrorCodeAttribute, MappedAddress, OtherAddress, ResponseOrigin, Software,
    UnknownAttributes, XorMappedAddress,
};
use causeway_wire::{Class, ErrorCode, MAX_MESSAGE_LEN, Message, MessageWriter, Method};

fn mapped(answer: &[u8]) -> SocketAddr {
    let answer = Message::decode(answer).unwrap();
    assert_eq!(
        (answer.class(), answer.method(), answer.transaction_id()),
        (Class::SuccessResponse, Method::BINDING, ID)
    );
    answer.attribute::<XorMappedAddress>().unwrap().unwrap().0
}

#[test]
fn a_client_learns_its_address_over_ipv4_and_ipv6() {
    for (address, listen) in [("127.0.0.1", "127.0.0.1:PORT"), ("::1", "[::1]:PORT")] {
        let stund = Stund::start(&["--listen", listen]);
        let client = client(address);
        let (answer, from) = ask(&client, stund.at(address), &plain_request());
        assert_eq!(from, stund.at(address));
        assert_eq!(mapped(&answer), client.local_addr().unwrap());
    }
}

#[test]
fn wildcard_listeners_of_both_families_share_a_port_and_answer_from_where_they_were_asked() {
    let stund = Stund::start(&["--listen", "0.0.0.0:PORT,[::]:PORT"]);
    for address in ["127.0.0.1", "127.0.0.2", "::1"] {
        let client = client(address);
        client.connect(stund.at(address)).unwrap(); // accepts answers from there only
        client.send(&plain_request()).unwrap();
        let mut buffer = [0; 256];
        let len = client.recv(&mut buffer).unwrap();
        assert_eq!(mapped(&buffer[..len]), client.local_addr().unwrap());
    }
}

#[test]
fn rfc8489_12_binding_over_udp_and_tcp_without_fingerprint_and_credentials() {
    let stund = Stund::plain();
    let server = stund.at("127.0.0.1");
    let client = client("127.0.0.1");
    let (answer, _) = ask(&client, server, &plain_request());
    assert_eq!(mapped(&answer), client.local_addr().unwrap());
    let mut stream = connect(server);
    stream.write_all(&plain_request()).unwrap();
    assert_eq!(mapped(&read_message(&mut stream)), stream.local_addr().unwrap());
    let answer = Message::decode(&answer).unwrap();
    assert!(
        answer.fingerprint().is_none()
            && !answer.has_integrity()
            && !answer.has(AttributeType::ALTERNATE_SERVER)
    );
}

#[test]
fn every_worker_answers() {
    let stund = Stund::start(&["--listen", "127.0.0.1:PORT", "--set", "net.workers=4"]);
    for _ in 0..64 {
        let client = client("127.0.0.1");
        let (answer, _) = ask(&client, stund.at("127.0.0.1"), &plain_request());
        assert_eq!(mapped(&answer), client.local_addr().unwrap());
    }
}

#[test]
fn h11_an_answer_names_no_software_and_no_address_but_the_clients() {
    let stund = Stund::plain();
    let (answer, _) = ask(&client("127.0.0.1"), stund.at("127.0.0.1"), &plain_request());
    assert_eq!(answer.len(), 20 + 12);
    let answer = Message::decode(&answer).unwrap();
    assert!(answer.attribute::<Software<'_>>().unwrap().is_none());
    assert!(answer.attribute::<ResponseOrigin>().unwrap().is_none());
    assert!(answer.attribute::<OtherAddress>().unwrap().is_none());
    assert!(answer.attribute::<MappedAddress>().unwrap().is_none());
}

#[test]
fn h11_no_request_is_answered_by_more_than_2_6_times_its_size_on_the_wire() {
    let plain = Stund::plain();
    let discovering = Stund::discovering();
    let six = Stund::start(&["--listen", "[::1]:PORT"]);
    let many_unknown = request(|writer| {
        for kind in 0x7000..0x7040 {
            writer.put_raw(AttributeType(kind), &[]).unwrap();
        }
    });
    for (address, server) in [("127.0.0.1", &plain), ("127.0.0.1", &discovering), ("::1", &six)] {
        let overhead = if address == "::1" { 48 } else { 28 };
        for request in [plain_request(), unknown(0x7FFF, 0), many_unknown.clone()] {
            let (answer, _) = ask(&client(address), server.at(address), &request);
            let factor = (overhead + answer.len()) as f64 / (overhead + request.len()) as f64;
            assert!(
                factor <= 2.6,
                "{} bytes answered by {}: {factor:.2}",
                request.len(),
                answer.len()
            );
        }
    }
}

#[test]
fn rfc8489_6_3_an_unknown_required_attribute_is_420_with_the_list() {
    let stund = Stund::plain();
    let (answer, _) = ask(&client("127.0.0.1"), stund.at("127.0.0.1"), &unknown(0x7ABC, 8));
    let answer = Message::decode(&answer).unwrap();
    assert_eq!(answer.class(), Class::ErrorResponse);
    let error = answer.attribute::<ErrorCodeAttribute<'_>>().unwrap().unwrap();
    assert_eq!(error.code, ErrorCode::UNKNOWN_ATTRIBUTE);
    let list =
        answer.attributes().find(|one| one.kind == AttributeType::UNKNOWN_ATTRIBUTES).unwrap();
    assert_eq!(list.value, [0x7A, 0xBC]);
    assert!(answer.attribute::<UnknownAttributes<'_>>().is_ok());
}

#[test]
fn rfc8489_6_3_an_unknown_optional_attribute_is_ignored() {
    let stund = Stund::plain();
    let client = client("127.0.0.1");
    let (answer, _) = ask(&client, stund.at("127.0.0.1"), &unknown(0xF000, 5));
    assert_eq!(mapped(&answer), client.local_addr().unwrap());
}

#[test]
fn h28_a_fingerprint_is_answered_by_one_and_a_wrong_one_by_silence() {
    let stund = Stund::plain();
    let client = client("127.0.0.1");
    let mut request = request(|writer| {
        writer.fingerprint().unwrap();
    });
    let (answer, _) = ask(&client, stund.at("127.0.0.1"), &request);
    assert_eq!(Message::decode(&answer).unwrap().fingerprint(), Some(true));
    *request.last_mut().unwrap() ^= 1;
    assert_silence(&client, stund.at("127.0.0.1"), &request);
}

#[test]
fn h23_junk_is_met_by_silence_and_harms_nothing() {
    let stund = Stund::plain();
    let server = stund.at("127.0.0.1");
    let client = client("127.0.0.1");
    let mut indication = [0; 20];
    let writer =
        MessageWriter::new(&mut indication, Class::Indication, Method::BINDING, ID).unwrap();
    assert_eq!(writer.finish(), 20);
    let mut allocate = [0; 20];
    let writer = MessageWriter::new(&mut allocate, Class::Request, Method::ALLOCATE, ID).unwrap();
    assert_eq!(writer.finish(), 20);
    let long = unknown(0x7000, 200);
    let no_cookie = [&[0, 3, 0, 0], &[7; 16][..]].concat(); // RFC 3489 had no Allocate
    let past_the_end = [&[0, 1, 0xFF, 0xFC], &plain_request()[4..]].concat();
    let odd = [&[0, 1, 0, 1], &plain_request()[4..], &[0]].concat();
    let junk: [&[u8]; 12] = [
        &[],
        &[0],
        &[0xFF; 1_500],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 20],
        &indication,
        &allocate,
        &long[..21],
        &no_cookie,
        &past_the_end,
        &odd,
        &[0x16; 60],
    ];
    for junk in junk {
        client.send_to(junk, server).unwrap();
    }
    assert_silence(&client, server, &[0x40, 0, 0, 0]);
    let (answer, _) = ask(&client, server, &plain_request());
    assert_eq!(mapped(&answer), client.local_addr().unwrap());
}

#[test]
fn h15_the_longest_datagram_of_attributes_is_answered_shortly() {
    let stund = Stund::plain();
    let client = client("127.0.0.1");
    // As many attributes as a datagram holds, each unknown and required: the list in the answer is
    // bounded.
    let request = request(|writer| {
        for kind in 0..16_300u16 {
            writer.put_raw(AttributeType(0x7000 | kind & 0xFFF), &[]).unwrap();
        }
    });
    assert!((60_000..MAX_MESSAGE_LEN).contains(&request.len()));
    let (answer, _) = ask(&client, stund.at("127.0.0.1"), &request);
    assert!(answer.len() <= 160, "{}", answer.len());
    assert_eq!(Message::decode(&answer).unwrap().class(), Class::ErrorResponse);
}
