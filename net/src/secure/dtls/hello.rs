//! The messages of the cookie exchange, read and written without any state (RFC 6347 §4.2.1).

use super::record::{HANDSHAKE, MAJOR, RECORD_HEADER, RecordHeader};

/// Bytes of a cookie.
pub(crate) const COOKIE_LEN: usize = 32;
/// Bytes of a HelloVerifyRequest in its record: fewer than of any ClientHello that it answers.
pub(crate) const HELLO_VERIFY_REQUEST_LEN: usize = RECORD_HEADER + MESSAGE_HEADER + 3 + COOKIE_LEN;

const MESSAGE_HEADER: usize = 12;
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;
/// DTLS 1.0, as RFC 6347 §4.2.1 requires: it states only the format of this message.
const VERSION: [u8; 2] = [MAJOR, 255];

/// A ClientHello whose cookie and parameters are all in the first fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientHello<'a> {
    /// Epoch and sequence number of its record.
    pub(super) sequence: [u8; 8],
    /// Version, random and session id.
    pub(crate) front: &'a [u8],
    /// Empty in the first flight.
    pub(crate) cookie: &'a [u8],
    /// Cipher suites and compression methods.
    pub(crate) back: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// Reads the first record of a datagram. `None` if it is no ClientHello, or one whose first
    /// fragment does not reach as far as the compression methods: reassembly would take memory for
    /// a client that has proven nothing.
    pub(crate) fn read(datagram: &'a [u8]) -> Option<Self> {
        let mut record = Bytes(datagram);
        let header = RecordHeader::read(datagram)?;
        record.take(3)?;
        let sequence = record.take(8)?.try_into().ok()?;
        let len = record.length(2)?;
        let mut message = Bytes(record.take(len)?);
        if header.content_type != HANDSHAKE
            || header.epoch != 0
            || message.take(1)? != [CLIENT_HELLO]
        {
            return None;
        }
        let whole = message.length(3)?;
        let number = message.length(2)?;
        let offset = message.length(3)?;
        let fragment = message.length(3)?;
        if number > 1 || offset != 0 || fragment > whole || fragment != message.0.len() {
            return None;
        }
        let hello = message.0;
        message.take(2 + 32)?;
        message.vector(1)?;
        let front = &hello[..hello.len() - message.0.len()];
        let cookie = message.vector(1)?;
        let rest = message.0;
        message.vector(2)?;
        message.vector(1)?;
        let back = &rest[..rest.len() - message.0.len()];
        Some(Self { sequence, front, cookie, back })
    }

    /// The random number that tells this handshake from others.
    pub(crate) fn random(&self) -> [u8; 32] {
        self.front[2..34].try_into().expect("version and random were read")
    }

    /// The answer that asks for `cookie`.
    pub(crate) fn verify_request(
        &self,
        cookie: &[u8; COOKIE_LEN],
    ) -> [u8; HELLO_VERIFY_REQUEST_LEN] {
        const BODY: u8 = 3 + COOKIE_LEN as u8;
        let mut answer = [0; HELLO_VERIFY_REQUEST_LEN];
        let (record, message) = answer.split_at_mut(RECORD_HEADER);
        record[0] = HANDSHAKE;
        record[1..3].copy_from_slice(&VERSION);
        // "the server MUST use the record sequence number in the ClientHello as the record sequence
        // number in the HelloVerifyRequest" (RFC 6347 §4.2.1)
        record[3..11].copy_from_slice(&self.sequence);
        record[12] = MESSAGE_HEADER as u8 + BODY;
        let (header, body) = message.split_at_mut(MESSAGE_HEADER);
        header[0] = HELLO_VERIFY_REQUEST;
        header[3] = BODY; // of the message; its number and the offset of its only fragment are 0
        header[11] = BODY; // of the fragment
        body[..2].copy_from_slice(&VERSION);
        body[2] = COOKIE_LEN as u8;
        body[3..].copy_from_slice(cookie);
        answer
    }
}

/// The bytes that were not read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of `width` bytes.
    fn length(&mut self, width: usize) -> Option<usize> {
        Some(self.take(width)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// The bytes behind a length of `width` bytes.
    fn vector(&mut self, width: usize) -> Option<&'a [u8]> {
        let len = self.length(width)?;
        self.take(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello without extensions, with a cookie.
    fn client_hello(cookie: &[u8]) -> Vec<u8> {
        let mut body = vec![254, 253];
        body.extend([7; 32]);
        body.extend([2, 8, 8]); // session id
        body.push(cookie.len() as u8);
        body.extend(cookie);
        body.extend([0, 2, 0xc0, 0x2f, 1, 0]);
        let len = body.len() as u8;
        let mut datagram = vec![
            22,
            254,
            255,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            5,
            0,
            12 + len,
            1,
            0,
            0,
            len,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            len,
        ];
        datagram.extend(body);
        datagram
    }

    #[test]
    fn rfc6347_4_2_1_the_cookie_and_the_parameters_are_found() {
        let datagram = client_hello(b"cookie");
        let hello = ClientHello::read(&datagram).unwrap();
        assert_eq!(hello.cookie, b"cookie");
        assert_eq!(hello.random(), [7; 32]);
        assert_eq!(hello.front.len(), 2 + 32 + 3);
        assert_eq!(hello.back, [0, 2, 0xc0, 0x2f, 1, 0]);
    }

    #[test]
    fn rfc6347_4_2_1_the_request_has_the_record_number_of_the_hello_and_version_1_0() {
        let datagram = client_hello(b"");
        let hello = ClientHello::read(&datagram).unwrap();
        let request = hello.verify_request(&[9; COOKIE_LEN]);
        assert_eq!(request[..13], [22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 5, 0, 47]);
        assert_eq!(request[13..25], [3, 0, 0, 35, 0, 0, 0, 0, 0, 0, 0, 35]);
        assert_eq!(request[25..28], [254, 255, 32]);
        assert_eq!(request[28..], [9; 32]);
    }

    #[test]
    fn h11_the_request_is_no_longer_than_the_shortest_hello() {
        assert!(HELLO_VERIFY_REQUEST_LEN <= client_hello(b"").len());
    }

    #[test]
    fn h23_what_is_cut_or_counts_wrong_is_no_hello() {
        let datagram = client_hello(b"cookie");
        for len in 0..datagram.len() {
            assert_eq!(ClientHello::read(&datagram[..len]), None, "cut to {len}");
        }
        // Each length once too large, each fixed field once wrong.
        for (place, value) in [
            (0, 23),
            (1, 3),
            (4, 1),
            (11, 1),
            (12, 255),
            (13, 2),
            (18, 2),
            (21, 1),
            (24, 255),
            (59, 255),
            (62, 255),
            (69, 255),
        ] {
            let mut wrong = datagram.clone();
            wrong[place] = value;
            assert_eq!(ClientHello::read(&wrong), None, "byte {place}");
        }
    }
}
