//! The target for STUN messages: every attribute is read, and written again.

use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressErrorCode, AlternateDomain, AlternateServer, Attribute,
    CacheTimeout, ChangeRequest, ChangedAddress, ChannelNumberAttribute, Data, DontFragment,
    ErrorCodeAttribute, EvenPort, IceControlled, IceControlling, Icmp, Lifetime, MappedAddress,
    Nonce, OtherAddress, Padding, PasswordAlgorithm, PasswordAlgorithms, Priority, Realm,
    ReflectedFrom, RequestedAddressFamily, RequestedTransport, ReservationToken, ResponseAddress,
    ResponseOrigin, ResponsePort, Software, SourceAddress, UnknownAttributes, UseCandidate,
    Userhash, Username, XorMappedAddress, XorPeerAddress, XorRelayedAddress,
};
use causeway_wire::{Class, HEADER_LEN, IntegrityKey, Message, MessageWriter, padded};

/// Reads the bytes as a datagram: a STUN message, then a ChannelData message, whatever they are.
///
/// # Panics
/// When what is read is not what stands there, or is not the same after it was written and read
/// again.
pub fn decode(data: &[u8]) {
    crate::channel::channel_data(data);
    let Ok(message) = Message::decode(data) else { return };
    assert_eq!(data.len(), HEADER_LEN + usize::from(message.header().length));
    frame_is_covered(&message);
    integrity_agrees(&message);
    attributes_survive(&message);
    raw_attributes_survive(&message);
    crate::binding::answered(&message);
    assert!(message.unknown_required(|kind| kind.name().is_some()).kinds().len() <= 16);
    assert!(!format!("{message:?}").is_empty());
}

/// The attributes that count stand one behind the other from the header on.
fn frame_is_covered(message: &Message<'_>) {
    let mut at = HEADER_LEN;
    for raw in message.attributes() {
        let bytes = message.as_bytes();
        assert_eq!(bytes[at..at + 2], raw.kind.0.to_be_bytes());
        assert_eq!(bytes[at + 4..at + 4 + raw.value.len()], *raw.value);
        at += 4 + padded(raw.value.len());
        assert!(at <= bytes.len());
    }
}

/// A MAC or a CRC is never right by accident, and what is absent is not verified.
fn integrity_agrees(message: &Message<'_>) {
    let key = IntegrityKey::new(b"a key that no input was made with");
    assert!(!message.verify_integrity(&key) && !message.verify_integrity_sha256(&key, 16));
    let mut buffer = message.as_bytes().to_vec();
    let Some(fingerprint) = message.fingerprint() else { return };
    let last = buffer.len() - 1;
    buffer[last] ^= 0x01;
    let flipped = Message::decode(&buffer).expect("only the value of FINGERPRINT was changed");
    assert!(!(fingerprint && flipped.fingerprint() == Some(true)));
}

fn raw_attributes_survive(message: &Message<'_>) {
    let written = write(message, message.as_bytes().len(), |writer| {
        for raw in message.attributes() {
            writer.put_raw(raw.kind, raw.value).expect("it fitted before");
        }
    });
    let read = Message::decode(&written).expect("what the writer wrote");
    assert!(read.attributes().eq(message.attributes()));
    assert_eq!(read.header().id, message.header().id);
}

/// Each attribute that can be read is the same after it was written and read again; of several the
/// first counts.
fn attributes_survive(message: &Message<'_>) {
    macro_rules! survive {
        ($($attribute:ty),* $(,)?) => {$(
            assert_eq!(
                message.attribute::<$attribute>().transpose(),
                message.all::<$attribute>().next()
            );
            for attribute in message.all::<$attribute>().flatten() {
                let written = write(message, attribute.value_len(), |writer| {
                    _ = writer.put(&attribute).expect("it was read");
                });
                let read = Message::decode(&written).expect("what the writer wrote");
                assert_eq!(read.attribute::<$attribute>(), Ok(Some(attribute)));
            }
        )*};
    }
    survive!(
        AdditionalAddressFamily,
        AddressErrorCode<'_>,
        AlternateDomain<'_>,
        AlternateServer,
        CacheTimeout,
        ChangeRequest,
        ChangedAddress,
        ChannelNumberAttribute,
        Data<'_>,
        DontFragment,
        ErrorCodeAttribute<'_>,
        EvenPort,
        IceControlled,
        IceControlling,
        Icmp,
        Lifetime,
        MappedAddress,
        Nonce<'_>,
        OtherAddress,
        Padding,
        PasswordAlgorithm<'_>,
        PasswordAlgorithms<'_>,
        Priority,
        Realm<'_>,
        ReflectedFrom,
        RequestedAddressFamily,
        RequestedTransport,
        ReservationToken,
        ResponseAddress,
        ResponseOrigin,
        ResponsePort,
        Software<'_>,
        SourceAddress,
        UnknownAttributes<'_>,
        UseCandidate,
        Userhash,
        Username<'_>,
        XorMappedAddress,
        XorPeerAddress,
        XorRelayedAddress,
    );
}

/// Writes an answer to `like` with room for one header, one attribute's header and `room` bytes.
fn write(like: &Message<'_>, room: usize, fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut buffer = vec![0xDD; HEADER_LEN + 4 + padded(room)];
    let mut writer = MessageWriter::answer(&mut buffer, like.header(), Class::SuccessResponse)
        .expect("room for a header");
    fill(&mut writer);
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}
