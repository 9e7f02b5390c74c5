//! Writing messages into the caller's buffer.

use crate::attribute::{Attribute, AttributeType};
use crate::header::{HEADER_LEN, Header, TransactionId, id_with_cookie};
use crate::integrity::{IntegrityKey, SHA1_LEN, SHA256_LEN, fingerprint};
use crate::method::{Class, MessageType, Method};
use crate::padded;

/// Writes one message into the caller's buffer, attribute by attribute. Padding is zero (H22).
///
/// Integrity and fingerprint are computed when they are written: call
/// [`integrity`](Self::integrity) after the last ordinary attribute, and
/// [`fingerprint`](Self::fingerprint) at the very end.
#[derive(Debug)]
pub struct MessageWriter<'b> {
    buffer: &'b mut [u8],
    len: usize,
    id: [u8; 16],
}

/// Why a message cannot be written. Nothing is ever truncated (H27).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The buffer is full.
    NoSpace,
    /// The value exceeds the maximum of its attribute, or the message its 16-bit length.
    TooLong,
}

impl std::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoSpace => "the buffer is too small for the message",
            Self::TooLong => "longer than the attribute or the message may be",
        })
    }
}

impl std::error::Error for EncodeError {}

impl<'b> MessageWriter<'b> {
    /// Starts a message at the start of `buffer`.
    ///
    /// # Errors
    /// [`EncodeError::NoSpace`] if the header does not fit.
    pub fn new(
        buffer: &'b mut [u8],
        class: Class,
        method: Method,
        id: TransactionId,
    ) -> Result<Self, EncodeError> {
        Self::with_id(buffer, MessageType { class, method }, id_with_cookie(id))
    }

    /// Starts the answer to `request`: the same method and the same sixteen bytes of cookie and
    /// transaction id, so that a client of RFC 3489 recognizes it (RFC 8489 §11).
    ///
    /// # Errors
    /// [`EncodeError::NoSpace`] if the header does not fit.
    pub fn answer(
        buffer: &'b mut [u8],
        request: &Header,
        class: Class,
    ) -> Result<Self, EncodeError> {
        Self::with_id(
            buffer,
            MessageType { class, method: request.message_type.method },
            request.id,
        )
    }

    fn with_id(
        buffer: &'b mut [u8],
        message_type: MessageType,
        id: [u8; 16],
    ) -> Result<Self, EncodeError> {
        let header = buffer.first_chunk_mut::<HEADER_LEN>().ok_or(EncodeError::NoSpace)?;
        header[..2].copy_from_slice(&message_type.to_bits().to_be_bytes());
        header[2..4].fill(0);
        header[4..].copy_from_slice(&id);
        Ok(Self { buffer, len: HEADER_LEN, id })
    }

    /// Appends an attribute.
    ///
    /// # Errors
    /// [`EncodeError`] if it does not fit; the message is then unchanged.
    pub fn put<'a, A: Attribute<'a>>(&mut self, attribute: &A) -> Result<&mut Self, EncodeError> {
        let (id, len) = (self.id, attribute.value_len());
        if len > A::MAX_LEN {
            return Err(EncodeError::TooLong);
        }
        attribute.write(self.value(A::KIND, len)?, &id);
        Ok(self)
    }

    /// Appends an attribute from its raw value.
    ///
    /// # Errors
    /// [`EncodeError`] if it does not fit; the message is then unchanged.
    pub fn put_raw(&mut self, kind: AttributeType, value: &[u8]) -> Result<&mut Self, EncodeError> {
        self.value(kind, value.len())?.copy_from_slice(value);
        Ok(self)
    }

    /// Appends MESSAGE-INTEGRITY over everything written so far (RFC 8489 §14.5).
    ///
    /// # Errors
    /// [`EncodeError`] if it does not fit.
    pub fn integrity(&mut self, key: &IntegrityKey) -> Result<&mut Self, EncodeError> {
        let before = self.len;
        self.value(AttributeType::MESSAGE_INTEGRITY, SHA1_LEN)?;
        let mac = key.sha1(&self.buffer[..before], self.length());
        self.buffer[before + 4..before + 4 + SHA1_LEN].copy_from_slice(&mac);
        Ok(self)
    }

    /// Appends MESSAGE-INTEGRITY-SHA256, not truncated, over everything written so far (RFC 8489
    /// §14.6).
    ///
    /// # Errors
    /// [`EncodeError`] if it does not fit.
    pub fn integrity_sha256(&mut self, key: &IntegrityKey) -> Result<&mut Self, EncodeError> {
        let before = self.len;
        self.value(AttributeType::MESSAGE_INTEGRITY_SHA256, SHA256_LEN)?;
        let mac = key.sha256(&self.buffer[..before], self.length());
        self.buffer[before + 4..before + 4 + SHA256_LEN].copy_from_slice(&mac);
        Ok(self)
    }

    /// Appends FINGERPRINT over everything written so far (RFC 8489 §14.7).
    ///
    /// # Errors
    /// [`EncodeError`] if it does not fit.
    pub fn fingerprint(&mut self) -> Result<&mut Self, EncodeError> {
        let before = self.len;
        self.value(AttributeType::FINGERPRINT, 4)?;
        let value = fingerprint(&self.buffer[..before], self.length());
        self.buffer[before + 4..before + 8].copy_from_slice(&value.to_be_bytes());
        Ok(self)
    }

    /// The number of bytes written so far.
    #[must_use]
    pub fn written(&self) -> usize {
        self.len
    }

    /// Ends the message and returns the number of bytes written.
    #[must_use]
    pub fn finish(self) -> usize {
        self.len
    }

    /// Reserves an attribute with `len` bytes of value, its padding zeroed, and corrects the
    /// message's length.
    fn value(&mut self, kind: AttributeType, len: usize) -> Result<&mut [u8], EncodeError> {
        // Check the value's length first: only one that fits in 16 bits can be padded without
        // overflow.
        let value_len = u16::try_from(len).map_err(|_| EncodeError::TooLong)?;
        let start = self.len + 4;
        let end = start + padded(len);
        let length = u16::try_from(end - HEADER_LEN).map_err(|_| EncodeError::TooLong)?;
        let space = self.buffer.get_mut(self.len..end).ok_or(EncodeError::NoSpace)?;
        space[..2].copy_from_slice(&kind.0.to_be_bytes());
        space[2..4].copy_from_slice(&value_len.to_be_bytes());
        space[4 + len..].fill(0);
        self.buffer[2..4].copy_from_slice(&length.to_be_bytes());
        self.len = end;
        Ok(&mut self.buffer[start..start + len])
    }

    /// The current value of the header's length field.
    fn length(&self) -> u16 {
        u16::from_be_bytes([self.buffer[2], self.buffer[3]])
    }
}
