//! Rows of Binding, on the codec: NAT discovery and unknown attributes.

use causeway_wire::attribute::{
    AttributeType, ChangeRequest, ErrorCodeAttribute, Padding, Priority, ResponseAddress,
    ResponsePort, UnknownAttributes,
};
use causeway_wire::binding::{self, MAX_ANSWER_LEN, Received, Silence, Usage};
use causeway_wire::{Class, ErrorCode, Message, MessageWriter, Method, TransactionId, Transport};

pub(crate) const ID: TransactionId = TransactionId([0xA5; 12]);

/// The byte that fills a buffer before a message is written to it.
pub(crate) const DIRT: u8 = 0xDD;

/// A Binding request with what `fill` puts into it.
pub(crate) fn write(fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut buffer = vec![DIRT; 70_000];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
    fill(&mut writer);
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

#[test]
fn h17_no_answer_is_much_longer_than_its_request_and_none_with_padding_is_longer() {
    let overhead = 48; // IPv6 and UDP
    let other = "[2001:db8::3]:3479".parse().unwrap();
    let sizes = (0..2_000).step_by(4).chain([60_000]);
    let padded = sizes.map(|len| write(|writer| _ = writer.put(&Padding(len)).unwrap()));
    let asked = [
        write(|_| {}),
        write(|writer| {
            _ = writer.put(&ChangeRequest { change_ip: true, change_port: true }).unwrap();
        }),
        write(|writer| _ = writer.put(&ResponsePort(4711)).unwrap()),
        write(|writer| _ = writer.put(&ResponsePort(4711)).unwrap().put(&Padding(0)).unwrap()),
        write(|writer| _ = writer.put_raw(AttributeType(0x7FFF), &[]).unwrap()),
        write(|writer| _ = writer.fingerprint().unwrap()),
    ];
    for request in asked.into_iter().chain(padded) {
        for cookie in [true, false] {
            let mut request = request.clone();
            request[4] ^= u8::from(!cookie);
            for usage in [Usage::Binding, Usage::NatDiscovery { other }] {
                let Ok(answer) = answer_of(&request, usage) else { continue };
                let factor = (overhead + answer.len()) as f64 / (overhead + request.len()) as f64;
                assert!(
                    factor <= 2.6,
                    "{} bytes answered by {}: {factor:.2}",
                    request.len(),
                    answer.len()
                );
                let is_padded = Message::decode(&answer)
                    .unwrap()
                    .attribute::<Padding>()
                    .unwrap()
                    .is_some_and(|padding| padding.0 > 0);
                assert!(!is_padded || answer.len() <= request.len());
            }
        }
    }
}

#[test]
fn h17_response_address_is_never_honoured() {
    for cookie in [true, false] {
        let mut request = write(|writer| {
            _ = writer.put(&ResponseAddress("192.0.2.66:53".parse().unwrap())).unwrap();
        });
        request[4] ^= u8::from(!cookie);
        let mut out = [DIRT; MAX_ANSWER_LEN];
        let usage = Usage::NatDiscovery { other: "[2001:db8::3]:3479".parse().unwrap() };
        let answer =
            binding::answer(&Message::decode(&request).unwrap(), &received(), usage, &mut out)
                .unwrap();
        assert_eq!(
            (answer.error, answer.from, answer.to_port),
            (Some(ErrorCode::UNKNOWN_ATTRIBUTE), None, None)
        );
    }
}

#[test]
fn h17_response_port_names_a_port_and_no_address_and_is_400_with_padding() {
    let usage = Usage::NatDiscovery { other: "[2001:db8::3]:3479".parse().unwrap() };
    let ask = |bytes: &[u8]| {
        let answer = binding::answer(
            &Message::decode(bytes).unwrap(),
            &received(),
            usage,
            &mut [0; MAX_ANSWER_LEN],
        )
        .unwrap();
        (answer.error, answer.to_port)
    };
    assert_eq!(
        ask(&write(|writer| _ = writer.put(&ResponsePort(4711)).unwrap())),
        (None, Some(4711))
    );
    let bad = [
        write(|writer| _ = writer.put(&ResponsePort(4711)).unwrap().put(&Padding(0)).unwrap()),
        write(|writer| _ = writer.put(&Padding(1_500)).unwrap().put(&ResponsePort(4711)).unwrap()),
        write(|writer| _ = writer.put(&ResponsePort(0)).unwrap()),
        write(|writer| _ = writer.put_raw(AttributeType::RESPONSE_PORT, &[1]).unwrap()),
    ];
    for request in bad {
        assert_eq!(ask(&request), (Some(ErrorCode::BAD_REQUEST), None));
    }
}

#[test]
fn h28_a_wrong_fingerprint_is_silence() {
    let mut bytes = write(|writer| _ = writer.put(&Priority(1)).unwrap().fingerprint().unwrap());
    assert_eq!(answer(&bytes).map(|_| ()), Ok(()));
    bytes[24] ^= 1;
    assert_eq!(answer(&bytes), Err(Silence::Fingerprint));
}

#[test]
fn h28_unknown_required_attributes_are_420_with_the_list() {
    let bytes = write(|writer| {
        for kind in [0x7FFF, 0x8FFF, 0x0031, 0x7FFF] {
            writer.put_raw(AttributeType(kind), &[1]).unwrap();
        }
    });
    let bytes = answer(&bytes).unwrap();
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.class(), Class::ErrorResponse);
    assert_eq!(
        message.attribute::<ErrorCodeAttribute<'_>>().unwrap().unwrap().code,
        ErrorCode::UNKNOWN_ATTRIBUTE
    );
    let unknown: Vec<_> = message
        .attribute::<UnknownAttributes<'_>>()
        .unwrap()
        .unwrap()
        .kinds()
        .map(|kind| kind.0)
        .collect();
    assert_eq!(unknown, [0x7FFF, 0x0031]);
}

#[test]
fn h28_unknown_required_attributes_of_an_indication_are_silence() {
    let mut buffer = [0; 64];
    let mut writer =
        MessageWriter::new(&mut buffer, Class::Indication, Method::BINDING, ID).unwrap();
    writer.put_raw(AttributeType(0x7FFF), &[]).unwrap();
    let len = writer.finish();
    assert_eq!(answer(&buffer[..len]), Err(Silence::NotBindingRequest));
}

fn answer(bytes: &[u8]) -> Result<Vec<u8>, Silence> {
    answer_of(bytes, Usage::Binding)
}

fn answer_of(bytes: &[u8], usage: Usage) -> Result<Vec<u8>, Silence> {
    let mut out = [DIRT; MAX_ANSWER_LEN];
    let answer = binding::answer(&Message::decode(bytes).unwrap(), &received(), usage, &mut out)?;
    Ok(out[..answer.len].to_vec())
}

pub(crate) fn received() -> Received {
    let address = |text: &str| text.parse().unwrap();
    Received {
        source: address("[2001:db8::1]:1"),
        local: address("[2001:db8::2]:3478"),
        over: Transport::Udp,
    }
}
