//! The headers of records (RFC 6347 §4.1).

/// Bytes of a record's header.
pub(crate) const RECORD_HEADER: usize = 13;
/// The content type of handshake messages.
pub(crate) const HANDSHAKE: u8 = 22;
/// The content type of what the protocol is for.
pub(crate) const APPLICATION_DATA: u8 = 23;
/// What DTLS 1.0 and 1.2 have in common.
pub(super) const MAJOR: u8 = 254;

/// The shortest encrypted record with AES-GCM: an explicit nonce and a tag.
pub(super) const LEAST_WITH_NONCE: usize = 8 + 16;
/// The shortest encrypted record with ChaCha20-Poly1305: a tag.
pub(super) const LEAST: usize = 16;

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) content_type: u8,
    pub(crate) epoch: u16,
    len: usize,
}

impl RecordHeader {
    /// Reads that of the first record of these bytes; `None` if they are no record of a version before DTLS 1.3.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_at_checked(RECORD_HEADER)?;
        (header[1] == MAJOR).then(|| Self {
            content_type: header[0],
            epoch: u16::from_be_bytes([header[3], header[4]]),
            len: u16::from_be_bytes([header[11], header[12]]).into(),
        })
    }
}

/// Whether no encrypted record of the datagram is shorter than `least`. OpenSSL gives up an association for one that is, where
/// RFC 6347 §4.1.2.7 has invalid records dropped; anybody could forge it.
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
