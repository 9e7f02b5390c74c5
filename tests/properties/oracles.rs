//! Our codec against two others, attribute by attribute: they read our messages as we do, and we
//! read theirs as they do.

use causeway_wire::Message as Decoded;
use causeway_wire::attribute::AttributeType as Kind;
use proptest::prelude::*;

use crate::message::{Message, config, message};
use crate::value::Value;
use crate::{oracle_stun_rs, oracle_stun_types};

/// Printable text without white space, quotation marks and backslashes, also beyond ASCII, of fewer
/// than 128 characters: the grammar that REALM and NONCE have (RFC 8489 §14.9), and what preparing
/// a USERNAME leaves as it is. stun-rs asks for both when it reads, and panics over trimmed
/// white space, of which it counts characters as bytes.
const TEXT: &str = "[a-zA-Z0-9!#-\\[\\]-~é漢ß]{1,126}";

/// A message as another codec reads it.
pub(crate) struct Reading {
    pub(crate) class_and_method: u16,
    pub(crate) id: [u8; 12],
    pub(crate) values: Vec<Value>,
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn stun_types_reads_what_we_write(mut message in message(TEXT)) {
        oracle_stun_types::restrict(&mut message);
        let bytes = message.write();
        let reading = oracle_stun_types::read(&message, &bytes);
        assert_alike(&message, &bytes, reading, oracle_stun_types::KNOWS_NOT);
    }

    #[test]
    fn stun_rs_reads_what_we_write(mut message in message(TEXT)) {
        oracle_stun_rs::restrict(&mut message);
        let bytes = message.write();
        let reading = oracle_stun_rs::read(&message, &bytes);
        assert_alike(&message, &bytes, reading, oracle_stun_rs::KNOWS_NOT);
    }

    #[test]
    fn we_read_what_stun_types_writes(mut message in message(TEXT)) {
        oracle_stun_types::restrict(&mut message);
        message.assert_read_from(&oracle_stun_types::write(&message));
    }

    #[test]
    fn we_read_what_stun_rs_writes(mut message in message(TEXT)) {
        oracle_stun_rs::restrict(&mut message);
        message.values.retain(oracle_stun_rs::writes);
        message.assert_read_from(&oracle_stun_rs::write(&message));
    }
}

/// Asserts that the reading is the message. Of an attribute that the other codec does not know, the
/// bytes are compared.
fn assert_alike(message: &Message, bytes: &[u8], reading: Reading, knows_not: &[Kind]) {
    assert_eq!(reading.class_and_method.to_be_bytes(), bytes[..2]);
    assert_eq!(reading.id, message.id);
    assert_eq!(reading.values.len(), message.values.len());
    let ours = Decoded::decode(bytes).unwrap();
    for (theirs, value) in reading.values.into_iter().zip(&message.values) {
        let expected = if knows_not.contains(&value.kind()) {
            let raw = ours.attributes().find(|raw| raw.kind == value.kind()).unwrap();
            Value::Raw(raw.kind, raw.value.into())
        } else {
            value.clone()
        };
        assert_eq!(theirs, expected);
    }
}
