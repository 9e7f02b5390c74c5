//! The headers of records (RFC 6347 §4.1).

/// Bytes of a record's header.
pub(crate) const RECORD_HEADER: usize = 13;
/// The content type of handshake messages.
pub(crate) const HANDSHAKE: u8 = 22;
/// The content type of application data.
pub(crate) const APPLICATION_DATA: u8 = 23;
/// The major version that DTLS 1.0 and 1.2 have in common.
pub(super) const MAJOR: u8 = 254;

/// Minimum length of an encrypted record with AES-GCM: an explicit nonce and a tag.
pub(super) const LEAST_WITH_NONCE: usize = 8 + 16;
/// Minimum length of an encrypted record with ChaCha20-Poly1305: a tag.
pub(super) const LEAST: usize = 16;

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) content_type: u8,
    pub(crate) epoch: u16,
    len: usize,
}

impl RecordHeader {
    /// Reads the header of the first record of these bytes; `None`: they are no record of a version
    /// before DTLS 1.3.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_at_checked(RECORD_HEADER)?;
        (header[1] == MAJOR).then(|| Self {
            content_type: header[0],
            epoch: u16::from_be_bytes([header[3], header[4]]),
            len: u16::from_be_bytes([header[11], header[12]]).into(),
        })
    }
}

/// The first records of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstRecords {
    /// Their length in bytes; that of the whole datagram, if it holds no more records.
    pub(crate) len: usize,
    pub(crate) taken: usize,
    /// How many records follow them.
    pub(crate) left_out: usize,
}

/// The first `most` records of `datagram`, at least 1. Bytes behind the last record that has a
/// header belong to it.
pub(crate) fn records_of(datagram: &[u8], most: usize) -> FirstRecords {
    let mut first = FirstRecords { len: datagram.len(), taken: 0, left_out: 0 };
    let mut rest = datagram;
    while let Some(header) = RecordHeader::read(rest) {
        if first.taken < most.max(1) {
            first.taken += 1;
        } else {
            if first.left_out == 0 {
                first.len = datagram.len() - rest.len();
            }
            first.left_out += 1;
        }
        rest = rest.get(RECORD_HEADER + header.len..).unwrap_or_default();
    }
    first
}

/// Whether no encrypted record of the datagram is shorter than `least`. OpenSSL gives up an
/// association for one that is, where RFC 6347 §4.1.2.7 has invalid records dropped; any host could
/// forge it.
pub(super) fn are_long_enough(mut datagram: &[u8], least: usize) -> bool {
    while let Some(header) = RecordHeader::read(datagram) {
        if header.epoch > 0 && header.len < least {
            return false;
        }
        datagram = datagram.get(RECORD_HEADER + header.len..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u8, len: u8) -> Vec<u8> {
        let mut record = vec![23, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 0, 0, len];
        record.extend(vec![0; len.into()]);
        record
    }

    #[test]
    fn h52_the_first_records_end_where_the_next_begins() {
        let datagram = [record(1, 30), record(1, 24), record(1, 0), record(1, 40)].concat();
        let first = |most| records_of(&datagram, most);
        assert_eq!(first(0), FirstRecords { len: 43, taken: 1, left_out: 3 });
        assert_eq!(first(2), FirstRecords { len: 43 + 37, taken: 2, left_out: 2 });
        assert_eq!(first(4), FirstRecords { len: datagram.len(), taken: 4, left_out: 0 });
        assert_eq!(
            records_of(&datagram[..50], 1),
            FirstRecords { len: 50, taken: 1, left_out: 0 },
            "a half header is no record"
        );
        assert_eq!(
            records_of(&datagram[..60], 1),
            FirstRecords { len: 43, taken: 1, left_out: 1 },
            "a cut record is one"
        );
        assert_eq!(records_of(b"", 1), FirstRecords { len: 0, taken: 0, left_out: 0 });
    }

    #[test]
    fn rfc6347_4_1_2_7_a_record_that_is_too_short_to_be_encrypted_is_seen_wherever_it_stands() {
        assert!(are_long_enough(&record(1, 24), 24));
        assert!(!are_long_enough(&record(1, 23), 24));
        assert!(are_long_enough(&record(0, 1), 24), "ChangeCipherSpec");
        assert!(are_long_enough(&[record(0, 1), record(1, 24)].concat(), 24));
        assert!(!are_long_enough(&[record(1, 24), record(1, 0)].concat(), 24));
        assert!(!are_long_enough(&record(1, 10)[..15], 24), "cut");
        assert!(are_long_enough(b"", 24));
    }
}
