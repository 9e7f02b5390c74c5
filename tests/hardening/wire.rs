//! Section C, messages, and H15, on the codec.

use std::time::{Duration, Instant};

use causeway_wire::attribute::{
    AlternateDomain, AttributeError, AttributeType, Data, ErrorCodeAttribute, Nonce, Padding,
    PasswordAlgorithms, Priority, Realm, Software, UnknownAttributes, Username, XorMappedAddress,
    XorPeerAddress,
};
use causeway_wire::binding::{self, MAX_PLAIN_ANSWER_LEN, Usage};
use causeway_wire::stream::{self, FramingError, frame_len};
use causeway_wire::{
    ChannelData, ChannelRange, Class, DecodeError, EncodeError, ErrorCode, HEADER_LEN,
    IntegrityKey, Message, MessageWriter, Method,
};

use crate::binding::{DIRT, ID, received, write};

const KEY: &[u8] = b"a key";

#[test]
fn h15_64_kib_of_attributes_cost_little() {
    // 16,383 empty attributes, each of another unknown type that is required.
    let mut bytes = header(Method::ALLOCATE, 65_532);
    for kind in 0..16_383u16 {
        bytes.extend((0x1000 + kind).to_be_bytes());
        bytes.extend([0, 0]);
    }
    let best = (0..20)
        .map(|_| {
            let start = Instant::now();
            let message = Message::decode(&bytes).unwrap();
            let unknown = message.unknown_required(|kind| kind.name().is_some());
            assert_eq!(unknown.kinds().len(), 16, "the answer stays small");
            assert_eq!(message.attribute::<Username<'_>>(), Ok(None));
            start.elapsed()
        })
        .min();
    // About 0.1 ms in an optimised build; quadratic behaviour would cost seconds.
    assert!(best < Some(Duration::from_millis(50)), "{best:?}");
}

#[test]
fn h15_overlong_text_is_refused() {
    let long = "x".repeat(764);
    for kind in [
        AttributeType::USERNAME,
        AttributeType::REALM,
        AttributeType::NONCE,
        AttributeType::SOFTWARE,
    ] {
        let bytes = write(|writer| _ = writer.put_raw(kind, long.as_bytes()).unwrap());
        let message = Message::decode(&bytes).unwrap();
        let refused = match kind {
            AttributeType::USERNAME => message.attribute::<Username<'_>>().map(drop),
            AttributeType::REALM => message.attribute::<Realm<'_>>().map(drop),
            AttributeType::NONCE => message.attribute::<Nonce<'_>>().map(drop),
            _ => message.attribute::<Software<'_>>().map(drop),
        };
        assert_eq!(refused, Err(AttributeError::Length), "{kind:?}");
    }
}

#[test]
fn h20_what_follows_message_integrity_is_ignored() {
    let key = IntegrityKey::new(KEY);
    let bytes = write(|writer| {
        writer.put(&Priority(1)).unwrap().integrity(&key).unwrap();
        // Appended by an attacker without the key.
        writer.put(&Priority(2)).unwrap();
        writer.put(&XorPeerAddress("192.0.2.1:1".parse().unwrap())).unwrap();
        writer.put_raw(AttributeType(0x7FFF), &[]).unwrap();
        writer.integrity(&IntegrityKey::new(b"another")).unwrap();
        writer.integrity_sha256(&key).unwrap();
        writer.put_raw(AttributeType(0x7FFE), &[]).unwrap();
        writer.integrity_sha256(&IntegrityKey::new(b"another")).unwrap();
        writer.fingerprint().unwrap();
    });
    let message = Message::decode(&bytes).unwrap();
    assert!(message.verify_integrity(&key) && message.verify_integrity_sha256(&key, 32));
    assert_eq!(message.fingerprint(), Some(true));
    assert_eq!(
        message.attributes().map(|raw| raw.kind).collect::<Vec<_>>(),
        [AttributeType::PRIORITY]
    );
    assert_eq!(message.all::<Priority>().collect::<Vec<_>>(), [Ok(Priority(1))]);
    assert_eq!(message.attribute::<XorPeerAddress>(), Ok(None));
    assert!(message.unknown_required(|kind| kind.name().is_some()).is_empty());
}

#[test]
fn h20_what_follows_message_integrity_sha256_is_ignored() {
    let key = IntegrityKey::new(KEY);
    let bytes = write(|writer| {
        writer.integrity_sha256(&key).unwrap().put(&Priority(2)).unwrap().integrity(&key).unwrap();
        writer.fingerprint().unwrap();
    });
    let message = Message::decode(&bytes).unwrap();
    assert!(message.verify_integrity_sha256(&key, 32) && !message.has_integrity());
    assert_eq!((message.fingerprint(), message.attributes().count()), (Some(true), 0));
}

#[test]
fn h20_nothing_follows_fingerprint() {
    let bytes = write(|writer| _ = writer.fingerprint().unwrap().put(&Priority(1)).unwrap());
    assert_eq!(Message::decode(&bytes).err(), Some(DecodeError::AfterFingerprint));
}

#[test]
fn h21_broken_software_fails_nothing_else() {
    let key = IntegrityKey::new(KEY);
    let bytes = write(|writer| {
        writer.put_raw(AttributeType::SOFTWARE, &[0xFF, 0xFE, 0xC3]).unwrap();
        writer.put_raw(AttributeType::ALTERNATE_SERVER, &[0]).unwrap();
        writer.put_raw(AttributeType::PASSWORD_ALGORITHMS, &[1, 2, 3]).unwrap();
        writer.put(&Username("user")).unwrap().integrity(&key).unwrap();
    });
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.attribute::<Software<'_>>(), Err(AttributeError::Utf8));
    assert_eq!(message.attribute::<PasswordAlgorithms<'_>>(), Err(AttributeError::Length));
    assert_eq!(message.attribute::<Username<'_>>(), Ok(Some(Username("user"))));
    assert!(message.verify_integrity(&key));
    let mut out = [0; MAX_PLAIN_ANSWER_LEN];
    assert_eq!(
        binding::answer(&message, &received(), Usage::Binding, &mut out).unwrap().error,
        None
    );
}

#[test]
fn h22_every_pad_byte_is_zero_in_a_dirty_buffer() {
    for len in 0..9 {
        let text = "x".repeat(len);
        let bytes = write(|writer| {
            writer
                .put(&Software(&text))
                .unwrap()
                .put(&Data(text.as_bytes()))
                .unwrap()
                .put(&Padding(len))
                .unwrap();
            writer.put_raw(AttributeType(0x7FFF), text.as_bytes()).unwrap();
            writer.put(&UnknownAttributes::Kinds(&vec![0x7FFF; len])).unwrap();
            // The decoder accepts no such list, but no byte of the old buffer may show.
            writer.put(&UnknownAttributes::Raw(text.as_bytes())).unwrap();
        });
        let mut rest = &bytes[HEADER_LEN..];
        while let Some((head, behind)) = rest.split_first_chunk::<4>() {
            let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let (value, pad) = behind[..causeway_wire::padded(len)].split_at(len);
            assert!(pad.iter().all(|&byte| byte == 0) && !value.contains(&DIRT), "{len}");
            rest = &behind[value.len() + pad.len()..];
        }
    }
}

#[test]
fn h23_wrong_lengths_are_errors() {
    let good = write(|writer| _ = writer.put(&Data(b"abcde")).unwrap());
    assert!(Message::decode(&good).is_ok());
    let with_length = |length: u16, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        Message::decode(&bytes).err()
    };
    // The header's: past the datagram, short of it, odd, at the end of the range.
    for length in [0, 8, 11, 13, 14, 16, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF] {
        assert_eq!(with_length(length, &good), Some(DecodeError::Length), "{length}");
    }
    // The last attribute without its padding.
    assert_eq!(with_length(9, &good[..HEADER_LEN + 9]), Some(DecodeError::Length));
    // An attribute's: past the message, at the end of the range.
    for length in [9u16, 10, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF] {
        let mut bytes = good.clone();
        bytes[22..24].copy_from_slice(&length.to_be_bytes());
        assert_eq!(Message::decode(&bytes).err(), Some(DecodeError::AttributeOverrun), "{length}");
    }
    for cut in 0..good.len() {
        assert!(Message::decode(&good[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn h23_integrity_of_a_wrong_length_is_an_error() {
    let decode = |kind, len: usize| {
        let bytes = write(|writer| _ = writer.put_raw(kind, &vec![0; len]).unwrap());
        Message::decode(&bytes).err()
    };
    let refused = Some(DecodeError::IntegrityLength);
    for len in (0..48).filter(|&len| len != 20) {
        assert_eq!(decode(AttributeType::MESSAGE_INTEGRITY, len), refused, "{len}");
    }
    for len in 0..48 {
        let allowed = matches!(len, 16 | 20 | 24 | 28 | 32);
        assert_eq!(
            decode(AttributeType::MESSAGE_INTEGRITY_SHA256, len),
            if allowed { None } else { refused },
            "{len}"
        );
        assert_eq!(
            decode(AttributeType::FINGERPRINT, len),
            if len == 4 { None } else { refused },
            "{len}"
        );
    }
}

#[test]
fn h23_lengths_at_the_end_of_the_range_over_tcp() {
    for length in 0xFFFCu16..=0xFFFF {
        let [high, low] = length.to_be_bytes();
        match frame_len(&[0x00, 0x01, high, low]) {
            Ok(Some(len)) => assert_eq!((len, length), (stream::MAX_FRAME_LEN, 0xFFFC)),
            other => assert_eq!(other, Err(FramingError::Unaligned(length))),
        }
        let channel = frame_len(&[0x40, 0x00, high, low]);
        assert!(
            channel.is_ok_and(|len| len
                .is_some_and(|len| len > usize::from(length) && len <= stream::MAX_FRAME_LEN)),
            "{channel:?}"
        );
    }
    let channel = [0x40, 0x00, 0xFF, 0xFF, 0];
    assert!(ChannelData::decode(&channel, ChannelRange::Rfc8656).is_err());
}

#[test]
fn h24_misaligned_input_is_read() {
    let key = IntegrityKey::new(KEY);
    let bytes = write(|writer| {
        writer
            .put(&XorMappedAddress("[2001:db8::1]:443".parse().unwrap()))
            .unwrap()
            .put(&Priority(7))
            .unwrap();
        writer.integrity(&key).unwrap().fingerprint().unwrap();
    });
    for offset in 0..=8 {
        let mut moved = vec![0xFF; offset];
        moved.extend(&bytes);
        let message = Message::decode(&moved[offset..]).unwrap();
        assert!(message.verify_integrity(&key) && message.fingerprint() == Some(true));
        assert_eq!(message.attribute::<Priority>(), Ok(Some(Priority(7))));
        assert_eq!(
            message.attribute::<XorMappedAddress>().unwrap().unwrap().0,
            "[2001:db8::1]:443".parse().unwrap()
        );
    }
}

/// `subtle` makes the comparison take constant time; this test shows that no prefix of a MAC is
/// enough.
#[test]
fn h25_a_mac_counts_whole() {
    let key = IntegrityKey::new(KEY);
    let bytes = write(|writer| _ = writer.integrity(&key).unwrap().integrity_sha256(&key).unwrap());
    for at in 24..44 {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x80;
        assert!(!Message::decode(&bytes).unwrap().verify_integrity(&key), "{at}");
    }
    for at in 48..80 {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x01;
        assert!(!Message::decode(&bytes).unwrap().verify_integrity_sha256(&key, 32), "{at}");
    }
}

#[test]
fn h25_a_truncated_mac_counts_only_where_it_may() {
    // RFC 8489 §14.6: truncated to 16 bytes at least. Truncation changes the length that the MAC
    // covers.
    use hmac::{KeyInit, Mac};
    let mut bytes = header(Method::BINDING, 20);
    let mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(KEY)
        .unwrap()
        .chain_update(&bytes)
        .finalize()
        .into_bytes();
    bytes.extend(AttributeType::MESSAGE_INTEGRITY_SHA256.0.to_be_bytes());
    bytes.extend([0, 16]);
    bytes.extend(&mac[..16]);
    let message = Message::decode(&bytes).unwrap();
    let key = IntegrityKey::new(KEY);
    assert!(message.verify_integrity_sha256(&key, 16));
    assert!(!message.verify_integrity_sha256(&key, 32));
    assert!(!message.verify_integrity_sha256(&IntegrityKey::new(b"another"), 16));
}

#[test]
fn h25_a_key_is_never_printed_and_is_wiped() {
    let key = IntegrityKey::new(b"a secret");
    for text in [format!("{key:?}"), format!("{key:#?}"), format!("{:?}", Some(key.clone()))] {
        assert!(
            text.contains("redacted") && !text.contains("secret") && !text.contains("115"),
            "{text}"
        );
    }
    // A drop wipes the key by `ZeroizeOnDrop` of the hash states; `integrity.rs` asserts that they
    // have it.
    assert!(std::mem::needs_drop::<IntegrityKey>());
}

type Step = fn(&mut MessageWriter<'_>, &IntegrityKey) -> Result<(), EncodeError>;

#[test]
fn h27_what_does_not_fit_leaves_the_message_as_it_was() {
    let key = IntegrityKey::new(KEY);
    let steps: [Step; 6] = [
        |writer, _| writer.put(&Software("abcde")).map(drop),
        |writer, _| writer.put(&XorMappedAddress("[2001:db8::1]:443".parse().unwrap())).map(drop),
        |writer, _| writer.put_raw(AttributeType(0x7FFF), &[1, 2, 3]).map(drop),
        |writer, key| writer.integrity(key).map(drop),
        |writer, key| writer.integrity_sha256(key).map(drop),
        |writer, _| writer.fingerprint().map(drop),
    ];
    for size in 0..HEADER_LEN {
        let written =
            MessageWriter::new(&mut vec![DIRT; size], Class::Request, Method::BINDING, ID)
                .map(MessageWriter::finish);
        assert_eq!(written, Err(EncodeError::NoSpace));
    }
    for size in HEADER_LEN..HEADER_LEN + 120 {
        let mut buffer = vec![DIRT; size];
        let mut fitted = Vec::new();
        let mut writer =
            MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
        for step in &steps {
            match step(&mut writer, &key) {
                Ok(()) => fitted.push(step),
                Err(error) => {
                    assert_eq!(error, EncodeError::NoSpace);
                    break;
                }
            }
        }
        let len = writer.finish();
        let roomy = write(|writer| fitted.iter().for_each(|step| step(writer, &key).unwrap()));
        assert_eq!(buffer[..len], roomy, "{size}");
        assert!(Message::decode(&buffer[..len]).is_ok());
        assert!(
            buffer[len..].iter().all(|&byte| byte == DIRT),
            "nothing was begun behind the message: {size}"
        );
    }
}

#[test]
fn h27_what_a_length_cannot_say_is_refused() {
    let mut buffer = vec![DIRT; 200_000];
    let mut writer = MessageWriter::new(&mut buffer, Class::Indication, Method::SEND, ID).unwrap();
    for len in [65_529, 65_533, 65_535, 65_536, 131_072] {
        assert_eq!(writer.put(&Data(&vec![0; len])).err(), Some(EncodeError::TooLong), "{len}");
        assert_eq!(
            writer.put_raw(AttributeType(0x8FFF), &vec![0; len]).err(),
            Some(EncodeError::TooLong),
            "{len}"
        );
    }
    assert_eq!(writer.put(&Padding(usize::MAX)).err(), Some(EncodeError::TooLong));
    let long = "x".repeat(764);
    assert_eq!(writer.put(&Nonce(&long)).err(), Some(EncodeError::TooLong));
    assert_eq!(writer.put(&AlternateDomain(&long[..256])).err(), Some(EncodeError::TooLong));
    let error = ErrorCodeAttribute { code: ErrorCode::SERVER_ERROR, reason: &long };
    assert_eq!(writer.put(&error).err(), Some(EncodeError::TooLong));
    // The longest attribute; then there is no room for another.
    writer.put(&Data(&vec![7; 65_528])).unwrap();
    assert_eq!(writer.put(&Data(&[])).err(), Some(EncodeError::TooLong));
    assert_eq!(writer.fingerprint().err(), Some(EncodeError::TooLong));
    let len = writer.finish();
    assert_eq!(len, causeway_wire::MAX_MESSAGE_LEN);
    assert_eq!(
        Message::decode(&buffer[..len]).unwrap().attribute::<Data<'_>>().unwrap().unwrap().0.len(),
        65_528
    );
}

/// A request's header that announces `length` bytes of attributes.
fn header(method: Method, length: u16) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN];
    let len = MessageWriter::new(&mut bytes, Class::Request, method, ID).unwrap().finish();
    assert_eq!(len, HEADER_LEN);
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes
}
