//! How a server uses the answer, and its bounds; `tests/rfc5780.rs` and `tests/rfc3489.rs` test the
//! rest.

use super::*;
use crate::TransactionId;
use crate::attribute::{ChangeRequest, MappedAddress, OtherAddress, Padding, ResponseOrigin};

const SOURCE: &str = "[2001:db8::1]:5000";
const LOCAL: &str = "[2001:db8::2]:3478";
const OTHER: &str = "[2001:db8::3]:3479";

fn received(over: Transport) -> Received {
    Received { source: SOURCE.parse().unwrap(), local: LOCAL.parse().unwrap(), over }
}

fn discovery() -> Usage {
    Usage::NatDiscovery { other: OTHER.parse().unwrap() }
}

fn request(id: TransactionId, fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; 70_000];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, id).unwrap();
    fill(&mut writer);
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

fn ask(request: &[u8], over: Transport, usage: Usage) -> Result<(Answer, Vec<u8>), Silence> {
    let mut out = vec![0xDD; MAX_ANSWER_LEN];
    let answered = answer(&Message::decode(request).unwrap(), &received(over), usage, &mut out)?;
    out.truncate(answered.len);
    Ok((answered, out))
}

const ID: TransactionId = TransactionId([7; 12]);

#[test]
fn rfc8489_6_3_1_the_source_is_told() {
    let (answer, bytes) = ask(&request(ID, |_| {}), Transport::Udp, Usage::Binding).unwrap();
    let message = Message::decode(&bytes).unwrap();
    assert_eq!((message.class(), message.transaction_id()), (Class::SuccessResponse, ID));
    assert_eq!(
        message.attribute::<XorMappedAddress>().unwrap().unwrap().0,
        SOURCE.parse().unwrap()
    );
    assert_eq!(
        (message.attributes().count(), answer.from, answer.to_port, answer.padded),
        (1, None, None, false)
    );
}

#[test]
fn rfc5780_6_1_table_1_all_four_origins() {
    for (change_ip, change_port, from) in [
        (false, false, LOCAL),
        (true, false, "[2001:db8::3]:3478"),
        (false, true, "[2001:db8::2]:3479"),
        (true, true, OTHER),
    ] {
        let request =
            request(ID, |w| _ = w.put(&ChangeRequest { change_ip, change_port }).unwrap());
        let (answer, bytes) = ask(&request, Transport::Udp, discovery()).unwrap();
        let message = Message::decode(&bytes).unwrap();
        let from: SocketAddr = from.parse().unwrap();
        assert_eq!(answer.from.unwrap_or(LOCAL.parse().unwrap()), from);
        assert_eq!(message.attribute::<ResponseOrigin>().unwrap().unwrap().0, from);
        assert_eq!(message.attribute::<OtherAddress>().unwrap().unwrap().0, OTHER.parse().unwrap());
        assert_eq!(
            message.attribute::<MappedAddress>().unwrap().unwrap().0,
            SOURCE.parse().unwrap()
        );
    }
}

#[test]
fn h17_an_answer_with_padding_is_no_longer_than_its_request() {
    for padding in (0..3_000).step_by(4).chain([60_000]) {
        for fingerprint in [false, true] {
            let request = request(ID, |w| {
                w.put(&Padding(padding)).unwrap();
                if fingerprint {
                    w.fingerprint().unwrap();
                }
            });
            let (answer, bytes) = ask(&request, Transport::Udp, discovery()).unwrap();
            let message = Message::decode(&bytes).unwrap();
            let Padding(echoed) = message.attribute::<Padding>().unwrap().unwrap();
            assert_eq!((answer.error, message.fingerprint()), (None, fingerprint.then_some(true)));
            assert!(
                bytes.len() <= request.len().max(MAX_PLAIN_ANSWER_LEN),
                "{} to {}",
                bytes.len(),
                request.len()
            );
            assert!(answer.padded, "it is to show whether fragments pass (RFC 5780 §7.6)");
            assert!(
                echoed == MAX_PADDING || echoed == 0 || bytes.len() == request.len(),
                "as long as it may be"
            );
        }
    }
}

#[test]
fn h28_a_wrong_fingerprint_is_answered_with_silence() {
    let mut bytes = request(ID, |w| _ = w.fingerprint().unwrap());
    let (good, _) = ask(&bytes, Transport::Udp, Usage::Binding).unwrap();
    assert_eq!(good.len, 20 + 24 + 8, "answered with FINGERPRINT");
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(ask(&bytes, Transport::Udp, Usage::Binding), Err(Silence::Fingerprint));
}

#[test]
fn the_longest_answers_fit() {
    let everything = request(ID, |w| {
        for kind in 0x7000..0x7100 {
            w.put_raw(AttributeType(kind), &[]).unwrap();
        }
        w.fingerprint().unwrap();
    });
    let mut classic = everything.clone();
    classic[4] ^= 1;
    let classic = request_of(&classic[..classic.len() - 8]);
    for bytes in [everything, classic] {
        for usage in [Usage::Binding, discovery()] {
            let (_, bytes) = ask(&bytes, Transport::Udp, usage).unwrap();
            assert!(bytes.len() <= MAX_PLAIN_ANSWER_LEN, "{}", bytes.len());
        }
    }
}

/// The message with its length field corrected to the number of bytes.
fn request_of(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let length = u16::try_from(bytes.len() - 20).unwrap();
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes
}
