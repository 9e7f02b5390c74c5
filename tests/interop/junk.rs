//! Messages that no client means.

use causeway_wire::HEADER_LEN;

/// A request of the largest size there is, full of attributes of four bytes with this type.
pub(crate) fn request(method: u16, attribute: u16, bytes: usize) -> Vec<u8> {
    let body = (bytes - HEADER_LEN) / 8 * 8;
    let mut message = Vec::with_capacity(HEADER_LEN + body);
    message.extend_from_slice(&method.to_be_bytes());
    message.extend_from_slice(&u16::try_from(body).expect("it fits into a message").to_be_bytes());
    message.extend_from_slice(&causeway_wire::MAGIC_COOKIE.to_be_bytes());
    message.extend_from_slice(b"transaction!");
    while message.len() < HEADER_LEN + body {
        message.extend_from_slice(&attribute.to_be_bytes());
        message.extend_from_slice(&[0, 4, 1, 2, 3, 4]);
    }
    message
}
