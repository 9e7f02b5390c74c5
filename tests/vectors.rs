//! The test vectors of RFC 5769 §2 and RFC 8489 appendix B, read and written again.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use causeway_wire::attribute::{
    Attribute, AttributeType, IceControlled, Nonce, Priority, Realm, Software, Userhash, Username,
    XorMappedAddress,
};
use causeway_wire::{Class, IntegrityKey, Message, MessageWriter, Method, TransactionId, padded};
use md5::{Digest, Md5};

/// RFC 5769 §2.1: a request with short-term credentials; padded with spaces.
const REQUEST: &str = "
    000100582112a442b7e7a701bc34d686fa87dfae
    80220010 5354554e20746573 7420636c69656e74
    00240004 6e0001ff
    80290008 932ff9b151263b36
    00060009 6576746a 3a683676 59202020
    00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
    80280004 e57a3bcf";

/// RFC 5769 §2.2: an IPv4 response; padded with a space.
const IPV4_RESPONSE: &str = "
    0101003c2112a442b7e7a701bc34d686fa87dfae
    8022000b 7465737420766563746f7220
    00200008 0001a147e112a643
    00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
    80280004 c07d4c96";

/// RFC 5769 §2.3: an IPv6 response; padded with a space.
const IPV6_RESPONSE: &str = "
    010100482112a442b7e7a701bc34d686fa87dfae
    8022000b 7465737420766563746f7220
    00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
    00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
    80280004 c8fb0b4c";

/// RFC 5769 §2.4: a request with long-term credentials; padded with zeros.
const LONG_TERM_REQUEST: &str = "
    000100602112a44278ad3433c6ad72c029da412e
    00060012 e3839ee38388e383aae38383e382afe382b90000
    0015001c 662f2f3439396b39353464364f4c33346f4c39465354767936347341
    0014000b 6578616d706c652e6f726700
    00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666";

/// RFC 8489 appendix B.1: a request with USERHASH and MESSAGE-INTEGRITY-SHA256; padded with zeros.
/// As printed: the header says 156 bytes of attributes, but 136 follow.
const SHA256_REQUEST: &str = "
    0001009c2112a44278ad3433c6ad72c029da412e
    001e0020 4a3cf38f ef6992bd a952c678 0417da0f 24819415 569e60b2 05c46e41 407f1704
    00150029 6f624d61744a6f7332414141
    43662f2f3439396b39353464364f4c33346f4c39465354767936347341000000
    0014000b 6578616d706c652e6f726700
    001c0020 e4686c8f 0edeb590 13e07090 010a93ef ccbccc54 4c0a45d9 f830aa6d 6f735a01";

const SHORT_TERM_PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
/// The user in katakana: マトリックス.
const USERNAME: &str = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
const REALM: &str = "example.org";
/// The password after SASLprep.
const PASSWORD: &str = "TheMatrIX";

#[test]
fn rfc5769_2_1_sample_request() {
    let bytes = hex(REQUEST);
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(
        (message.class(), message.method(), message.is_rfc3489()),
        (Class::Request, Method::BINDING, false)
    );
    assert_eq!(
        message.transaction_id(),
        TransactionId(*b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae")
    );
    assert_eq!(attribute::<Software<'_>>(&message).0, "STUN test client");
    assert_eq!(attribute::<Priority>(&message).0, 0x6e00_01ff);
    assert_eq!(attribute::<IceControlled>(&message).0, 0x932f_f9b1_5126_3b36);
    assert_eq!(attribute::<Username<'_>>(&message).0, "evtj:h6vY");
    assert_eq!(message.attributes().count(), 4);
    assert_short_term(&message);

    let written = write(&message, |writer| {
        writer.put(&Software("STUN test client")).unwrap().put(&Priority(0x6e00_01ff)).unwrap();
        writer
            .put(&IceControlled(0x932f_f9b1_5126_3b36))
            .unwrap()
            .put(&Username("evtj:h6vY"))
            .unwrap();
    });
    assert_same_but_for_padding(&bytes, &written);
}

#[test]
fn rfc5769_2_2_sample_ipv4_response() {
    assert_response(IPV4_RESPONSE, "192.0.2.1:32853");
}

#[test]
fn rfc5769_2_3_sample_ipv6_response() {
    assert_response(IPV6_RESPONSE, "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

#[test]
fn rfc5769_2_4_sample_request_with_long_term_authentication() {
    const NONCE: &str = "f//499k954d6OL34oL9FSTvy64sA";
    let bytes = hex(LONG_TERM_REQUEST);
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(attribute::<Username<'_>>(&message).0, USERNAME);
    assert_eq!(attribute::<Nonce<'_>>(&message).0, NONCE);
    assert_eq!(attribute::<Realm<'_>>(&message).0, REALM);
    let key = IntegrityKey::new(&Md5::digest(format!("{USERNAME}:{REALM}:{PASSWORD}")));
    assert!(message.verify_integrity(&key));
    assert!(!message.verify_integrity(&IntegrityKey::new(PASSWORD.as_bytes())));
    assert_eq!(message.fingerprint(), None);

    // This one is padded with zeros, like our messages, so that the HMAC is the same, too.
    let written = write(&message, |writer| {
        writer
            .put(&Username(USERNAME))
            .unwrap()
            .put(&Nonce(NONCE))
            .unwrap()
            .put(&Realm(REALM))
            .unwrap();
        writer.integrity(&key).unwrap();
    });
    assert_eq!(written, bytes);
}

/// The key is the SHA-256 one. The HMAC covers the printed header, which says 156 where RFC 8489
/// §14.6 demands 136; so the printed message is not a STUN message, and the corrected one has
/// another HMAC. Everything else in it is read and written.
#[test]
fn rfc8489_appendix_b_1_sample_request_with_sha256_and_userhash() {
    const NONCE: &str = "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA";
    let printed = hex(SHA256_REQUEST);
    assert!(Message::decode(&printed).is_err());
    let mut bytes = printed.clone();
    bytes[3] = 136;
    let message = Message::decode(&bytes).unwrap();
    let userhash = attribute::<Userhash>(&message);
    assert_eq!(userhash.0, sha256(format!("{USERNAME}:{REALM}").as_bytes()));
    assert_eq!(attribute::<Nonce<'_>>(&message).0, NONCE);
    assert_eq!(attribute::<Realm<'_>>(&message).0, REALM);
    assert!(message.has_integrity_sha256() && !message.has_integrity());

    let key_bytes = sha256(format!("{USERNAME}:{REALM}:{PASSWORD}").as_bytes());
    let key = IntegrityKey::new(&key_bytes);
    assert!(!message.verify_integrity_sha256(&key, 32));
    let (before, mac) = printed.split_at(printed.len() - 36);
    assert_eq!(hmac_sha256(&key_bytes, before), mac[4..]);

    let written = write(&message, |writer| {
        writer.put(&userhash).unwrap().put(&Nonce(NONCE)).unwrap().put(&Realm(REALM)).unwrap();
        writer.integrity_sha256(&key).unwrap();
    });
    let (before, _) = bytes.split_at(bytes.len() - 36);
    assert_eq!(written[..before.len()], *before);
    assert_eq!(hmac_sha256(&key_bytes, before), written[before.len() + 4..]);
    assert!(Message::decode(&written).unwrap().verify_integrity_sha256(&key, 32));
}

fn assert_response(vector: &str, mapped: &str) {
    let bytes = hex(vector);
    let message = Message::decode(&bytes).unwrap();
    let mapped = mapped.parse().unwrap();
    assert_eq!((message.class(), message.method()), (Class::SuccessResponse, Method::BINDING));
    assert_eq!(attribute::<Software<'_>>(&message).0, "test vector");
    assert_eq!(attribute::<XorMappedAddress>(&message).0, mapped);
    assert_short_term(&message);

    let written = write(&message, |writer| {
        writer.put(&Software("test vector")).unwrap().put(&XorMappedAddress(mapped)).unwrap();
    });
    assert_same_but_for_padding(&bytes, &written);
}

/// Asserts that integrity and fingerprint are valid, and that any flipped bit is detected.
fn assert_short_term(message: &Message<'_>) {
    let key = IntegrityKey::new(SHORT_TERM_PASSWORD);
    assert!(message.verify_integrity(&key));
    assert!(!message.verify_integrity(&IntegrityKey::new(b"wrong")));
    assert_eq!(message.fingerprint(), Some(true));
    for at in 4..message.as_bytes().len() {
        let mut bytes = message.as_bytes().to_vec();
        bytes[at] ^= 0x01;
        // After a flipped bit in a length or a type there may be no message at all, or one without
        // a fingerprint, but never one with a valid fingerprint.
        if let Ok(message) = Message::decode(&bytes) {
            assert_ne!(message.fingerprint(), Some(true), "byte {at}");
        }
    }
}

fn attribute<'a, A: Attribute<'a>>(message: &Message<'a>) -> A {
    message.attribute::<A>().unwrap().unwrap()
}

fn write(like: &Message<'_>, fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut buffer = vec![0xEE; 512];
    let mut writer =
        MessageWriter::new(&mut buffer, like.class(), like.method(), like.transaction_id())
            .unwrap();
    fill(&mut writer);
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

/// Asserts that `written` is `vector` up to its MESSAGE-INTEGRITY, except for the pad bytes, which
/// are zero, and the length, which is shorter.
fn assert_same_but_for_padding(vector: &[u8], written: &[u8]) {
    let mut expected = vector[..written.len()].to_vec();
    let length = u16::try_from(written.len() - 20).unwrap();
    expected[2..4].copy_from_slice(&length.to_be_bytes());
    let mut at = 20;
    while at < expected.len() {
        let len = usize::from(u16::from_be_bytes([expected[at + 2], expected[at + 3]]));
        expected[at + 4 + len..at + 4 + padded(len)].fill(0);
        at += 4 + padded(len);
    }
    assert_eq!(written, expected);
    assert_eq!(
        vector[written.len()..written.len() + 2],
        AttributeType::MESSAGE_INTEGRITY.0.to_be_bytes()
    );
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(bytes).into()
}

/// The HMAC over the bytes as they are, with the length in the header.
fn hmac_sha256(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    use hmac::{KeyInit, Mac};
    hmac::Hmac::<sha2::Sha256>::new_from_slice(key)
        .unwrap()
        .chain_update(bytes)
        .finalize()
        .into_bytes()
        .into()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
