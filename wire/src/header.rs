//! The fixed header of a STUN message and its transaction id.

use std::fmt;

use crate::method::MessageType;

/// Length of the STUN header in bytes (RFC 8489 §5).
pub const HEADER_LEN: usize = 20;

/// The fixed value of bytes 4 to 7 (RFC 8489 §5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// The 96 bits that match an answer to its request (RFC 8489 §5). The caller must take them from a
/// CSPRNG.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(pub [u8; 12]);

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// The 20 bytes in front of every message. They say nothing about the validity of the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The message's class and method.
    pub message_type: MessageType,
    /// Length of the attributes in bytes.
    pub length: u16,
    /// Bytes 4 to 19 as received: cookie and transaction id, or the 128-bit transaction id of RFC
    /// 3489 §11.1.
    pub id: [u8; 16],
}

impl Header {
    /// The header of a message without attributes.
    #[must_use]
    pub fn new(message_type: MessageType, id: TransactionId) -> Self {
        Self { message_type, length: 0, id: id_with_cookie(id) }
    }

    /// Reads a header; `None` if there are fewer than 20 bytes or one of the first two bits is set.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let message_type = MessageType::from_bits(u16::from_be_bytes([header[0], header[1]]))?;
        let mut id = [0; 16];
        id.copy_from_slice(&header[4..]);
        Some(Self { message_type, length: u16::from_be_bytes([header[2], header[3]]), id })
    }

    /// Whether the cookie is absent: a client of RFC 3489 (RFC 8489 §11).
    #[must_use]
    pub fn is_rfc3489(&self) -> bool {
        self.id[..4] != MAGIC_COOKIE.to_be_bytes()
    }

    /// The 96-bit transaction id: the bytes after the cookie.
    #[must_use]
    pub fn transaction_id(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.id[4..]);
        TransactionId(id)
    }
}

/// The cookie and the transaction id, in the form with which an address is XORed.
pub(crate) fn id_with_cookie(id: TransactionId) -> [u8; 16] {
    let mut all = [0; 16];
    all[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    all[4..].copy_from_slice(&id.0);
    all
}
