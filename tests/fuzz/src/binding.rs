//! What a Binding server says to anything at all.

use std::net::SocketAddr;

use causeway_wire::attribute::{
    AttributeType, ChangedAddress, ErrorCodeAttribute, MappedAddress, OtherAddress, Padding,
    SourceAddress, UnknownAttributes, XorMappedAddress,
};
use causeway_wire::binding::{
    self, Answer, MAX_ANSWER_LEN, MAX_PLAIN_ANSWER_LEN, Received, Silence, Usage,
};
use causeway_wire::{Class, HEADER_LEN, Message, MessageWriter, Method, TransactionId, Transport};

/// A Binding request is put together as the bytes say: with the cookie or as a client of RFC 3489,
/// with the attributes of RFC 5780 and RFC 3489 or any others; then every server answers it over
/// every transport.
///
/// # Panics
/// If an answer is too long, goes to an address that sent no request, or cannot be decoded by the
/// client.
pub fn binding(data: &[u8]) {
    let Some((&flags, mut rest)) = data.split_first() else { return };
    let mut buffer = vec![0; 4_096];
    let method = if flags & 4 == 0 { Method::BINDING } else { Method::SHARED_SECRET };
    let mut writer =
        MessageWriter::new(&mut buffer, Class::Request, method, TransactionId([flags; 12]))
            .expect("room");
    for _ in 0..12 {
        let Some((&[kind, len], after)) = rest.split_first_chunk::<2>() else { break };
        let (value, after) = after.split_at(after.len().min(usize::from(len)));
        // Most numbers below 0x40 are assigned.
        let kind = if kind < 0xC0 {
            u16::from(kind & 0x3F)
        } else {
            u16::from(kind) << 8 | u16::from(len)
        };
        writer.put_raw(AttributeType(kind), value).expect("at most twelve attributes of 255 bytes");
        rest = after;
    }
    if flags & 2 != 0 {
        writer.fingerprint().expect("room");
    }
    let len = writer.finish();
    if flags & 1 != 0 {
        buffer[4] ^= 0x80; // no cookie
    }
    if let Ok(request) = Message::decode(&buffer[..len]) {
        answered(&request);
    }
}

/// Has every kind of server answer a message.
pub(crate) fn answered(message: &Message<'_>) {
    let other = address("[2001:db8::3]:3479");
    for over in Transport::ALL {
        for usage in [Usage::Binding, Usage::NatDiscovery { other }] {
            let received = Received {
                source: address("[2001:db8::1]:1"),
                local: address("[2001:db8::2]:3478"),
                over,
            };
            let mut out = [0xDD; MAX_ANSWER_LEN];
            match binding::answer(message, &received, usage, &mut out) {
                Ok(answer) => judge(message, &received, usage, answer, &out[..answer.len]),
                Err(silence) => assert_ne!(silence, Silence::NoSpace),
            }
        }
    }
}

fn judge(request: &Message<'_>, received: &Received, usage: Usage, answer: Answer, bytes: &[u8]) {
    let message = Message::decode(bytes).expect("what the writer wrote");
    assert_eq!((message.header().id, message.method()), (request.header().id, request.method()));
    assert!(
        bytes.len() <= MAX_PLAIN_ANSWER_LEN.max(request.as_bytes().len()),
        "{} bytes",
        bytes.len()
    );
    assert!(usage != Usage::Binding || bytes.len() <= MAX_PLAIN_ANSWER_LEN);
    // H17: another origin and another port only over UDP, and no port that no datagram has.
    assert!(received.over == Transport::Udp || (answer.from, answer.to_port) == (None, None));
    assert_ne!(answer.to_port, Some(0));
    match answer.error {
        None => success(request, received, usage, &message),
        Some(code) => {
            let error = message.attribute::<ErrorCodeAttribute<'_>>();
            assert_eq!(error.map(|error| error.map(|error| error.code)), Ok(Some(code)));
            assert_eq!(
                (answer.from, answer.to_port, message.class()),
                (None, None, Class::ErrorResponse)
            );
            let listed =
                message.attribute::<UnknownAttributes<'_>>().expect("what the writer wrote");
            assert!(listed.is_none_or(|list| {
                list.kinds().all(|kind| kind.is_comprehension_required() && request.has(kind))
            }));
        }
    }
    if request.is_rfc3489() {
        classic(bytes);
    } else {
        assert_eq!(message.fingerprint(), request.fingerprint());
    }
}

fn success(request: &Message<'_>, received: &Received, usage: Usage, message: &Message<'_>) {
    assert_eq!(message.class(), Class::SuccessResponse);
    let discovers = usage != Usage::Binding;
    if request.is_rfc3489() {
        assert_eq!(message.attribute::<MappedAddress>(), Ok(Some(MappedAddress(received.source))));
        assert!(
            message.has(AttributeType::SOURCE_ADDRESS)
                && message.attribute::<SourceAddress>().is_ok()
        );
        assert_eq!(
            message.attribute::<ChangedAddress>().map(|changed| changed.is_some()),
            Ok(discovers)
        );
        return;
    }
    assert_eq!(
        message.attribute::<XorMappedAddress>(),
        Ok(Some(XorMappedAddress(received.source)))
    );
    assert_eq!(message.attribute::<OtherAddress>().map(|other| other.is_some()), Ok(discovers));
    let padded = message.attribute::<Padding>().expect("PADDING has any value");
    assert_eq!(padded.is_some(), discovers && request.has(AttributeType::PADDING));
}

/// "Attributes with values less than or equal to 0x7fff are mandatory to understand", and all
/// lengths are multiples of four, for a client of RFC 3489: nothing of its answer is newer.
fn classic(bytes: &[u8]) {
    let mut at = HEADER_LEN;
    while let Some(head) = bytes.get(at..at + 4) {
        let (kind, len) =
            (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]]));
        assert!(
            (1..=0x000B).contains(&kind) && len.is_multiple_of(4),
            "{kind:#06x} of {len} bytes"
        );
        at += 4 + usize::from(len);
    }
    assert_eq!(at, bytes.len());
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}
