//! A whole message, owned: one codec writes it, and another reads it.

use causeway_wire::attribute::AttributeType as Kind;
use causeway_wire::{
    Class, EncodeError, IntegrityKey, Message as Decoded, MessageWriter, Method, TransactionId,
};
use proptest::prelude::*;

use crate::value::{Value, value};

/// The password whose bytes are the key. String preparation does not change its characters.
pub(crate) const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// A failure is printed with its smallest input, which becomes a test or a seed of the fuzz corpus;
/// no file is written beside the tests.
pub(crate) fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) class: Class,
    pub(crate) method: u16,
    pub(crate) id: [u8; 12],
    pub(crate) values: Vec<Value>,
    pub(crate) sha1: bool,
    pub(crate) sha256: bool,
    pub(crate) fingerprint: bool,
}

/// Any message whose attributes occur once each.
pub(crate) fn message(text: &'static str) -> impl Strategy<Value = Message> {
    let class = proptest::sample::select(
        &[Class::Request, Class::Indication, Class::SuccessResponse, Class::ErrorResponse][..],
    );
    let values = proptest::collection::vec(value(text), 0..12);
    (class, 0u16..=0xFFF, any::<[u8; 12]>(), values, any::<[bool; 3]>()).prop_map(
        |(class, method, id, mut values, [sha1, sha256, fingerprint])| {
            let mut seen = Vec::new();
            values
                .retain(|value| !seen.contains(&value.kind()) && (seen.push(value.kind()), true).1);
            Message { class, method, id, values, sha1, sha256, fingerprint }
        },
    )
}

impl Message {
    /// Writes it with the codec under test into `buffer`; its length.
    pub(crate) fn write_into(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = MessageWriter::new(
            buffer,
            self.class,
            Method::new(self.method).unwrap(),
            TransactionId(self.id),
        )?;
        for value in &self.values {
            value.put(&mut writer)?;
        }
        let key = key();
        if self.sha1 {
            writer.integrity(&key)?;
        }
        if self.sha256 {
            writer.integrity_sha256(&key)?;
        }
        if self.fingerprint {
            writer.fingerprint()?;
        }
        Ok(writer.finish())
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut buffer = vec![0xDD; 64 * 1024];
        let len = self.write_into(&mut buffer).unwrap();
        buffer.truncate(len);
        buffer
    }

    /// Reads `bytes` with the codec under test and finds this message in it.
    pub(crate) fn assert_read_from(&self, bytes: &[u8]) {
        let read = Decoded::decode(bytes).unwrap();
        assert_eq!((read.class(), read.method().number()), (self.class, self.method));
        assert_eq!((read.transaction_id(), read.is_rfc3489()), (TransactionId(self.id), false));
        let kinds: Vec<Kind> = read.attributes().map(|raw| raw.kind).collect();
        assert_eq!(kinds, self.values.iter().map(Value::kind).collect::<Vec<_>>());
        for value in &self.values {
            assert_eq!(&Value::read(&read, value.kind()), value);
        }
        let (key, wrong) = (key(), IntegrityKey::new(b"wrong"));
        assert_eq!((read.has_integrity(), read.verify_integrity(&key)), (self.sha1, self.sha1));
        assert_eq!(
            (read.has_integrity_sha256(), read.verify_integrity_sha256(&key, 32)),
            (self.sha256, self.sha256)
        );
        assert!(!read.verify_integrity(&wrong) && !read.verify_integrity_sha256(&wrong, 16));
        assert_eq!(read.fingerprint(), self.fingerprint.then_some(true));
    }
}

pub(crate) fn key() -> IntegrityKey {
    IntegrityKey::new(PASSWORD.as_bytes())
}
