//! Reading messages: the check of the frame, and access to attributes, integrity and fingerprint.

use std::fmt;

use crate::attribute::{Attribute, AttributeError, AttributeType};
use crate::header::{HEADER_LEN, Header, TransactionId};
use crate::integrity::{self, IntegrityKey, SHA1_LEN, SHA256_LEN, fingerprint};
use crate::method::{Class, Method};
use crate::padded;

/// A STUN message with a checked frame; it borrows the bytes that it was read from.
///
/// Attributes after MESSAGE-INTEGRITY are ignored, except MESSAGE-INTEGRITY-SHA256 and FINGERPRINT;
/// after MESSAGE-INTEGRITY-SHA256, all but FINGERPRINT (RFC 8489 §14; H20). If an attribute occurs
/// twice, the first one counts (H6).
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    header: Header,
    /// Offset of the end of the attributes that count.
    end: usize,
    integrity: Option<usize>,
    integrity_sha256: Option<(usize, usize)>,
    fingerprint: Option<usize>,
}

/// Why bytes are not a STUN message. The receiver stays silent in each case (RFC 8489 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// There are fewer than 20 bytes, or one of the first two bits is set.
    NotStun,
    /// The length is not a multiple of four (RFC 8489 §5), or not the number of bytes after the
    /// header.
    Length,
    /// An attribute extends beyond the message.
    AttributeOverrun,
    /// MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 or FINGERPRINT has a length that RFC 8489 §14
    /// does not allow.
    IntegrityLength,
    /// Something follows FINGERPRINT, which "MUST be the last attribute" (RFC 8489 §14.7).
    AfterFingerprint,
}

impl<'a> Message<'a> {
    /// Checks the frame of exactly one message: the header, the length and the bounds of every
    /// attribute.
    ///
    /// Does not judge the method, the class, the cookie or the values of attributes.
    ///
    /// # Errors
    /// [`DecodeError`]; the receiver stays silent.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let header = Header::read(bytes).ok_or(DecodeError::NotStun)?;
        if !header.length.is_multiple_of(4)
            || bytes.len() != HEADER_LEN + usize::from(header.length)
        {
            return Err(DecodeError::Length);
        }
        let mut message = Self {
            bytes,
            header,
            end: bytes.len(),
            integrity: None,
            integrity_sha256: None,
            fingerprint: None,
        };
        message.find_integrity()?;
        Ok(message)
    }

    /// Walks over all attributes once: checks their bounds and records where the integrity
    /// attributes are.
    fn find_integrity(&mut self) -> Result<(), DecodeError> {
        let mut at = HEADER_LEN;
        while let Some(head) = self.bytes.get(at..).and_then(<[u8]>::first_chunk::<4>) {
            let kind = AttributeType(u16::from_be_bytes([head[0], head[1]]));
            let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let next = at + 4 + padded(len);
            if next > self.bytes.len() {
                return Err(DecodeError::AttributeOverrun);
            }
            if self.fingerprint.is_some() {
                return Err(DecodeError::AfterFingerprint);
            }
            match kind {
                AttributeType::MESSAGE_INTEGRITY
                    if self.integrity.is_none() && self.integrity_sha256.is_none() =>
                {
                    if len != SHA1_LEN {
                        return Err(DecodeError::IntegrityLength);
                    }
                    self.integrity = Some(at);
                }
                AttributeType::MESSAGE_INTEGRITY_SHA256 if self.integrity_sha256.is_none() => {
                    if !(16..=SHA256_LEN).contains(&len) || !len.is_multiple_of(4) {
                        return Err(DecodeError::IntegrityLength);
                    }
                    self.integrity_sha256 = Some((at, len));
                }
                AttributeType::FINGERPRINT => {
                    if len != 4 {
                        return Err(DecodeError::IntegrityLength);
                    }
                    self.fingerprint = Some(at);
                }
                _ => {
                    at = next;
                    continue;
                }
            }
            self.end = self.end.min(at);
            at = next;
        }
        Ok(())
    }

    /// The header, 20 bytes.
    #[must_use]
    #[inline]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The class: request, indication, success or error response.
    #[must_use]
    #[inline]
    pub fn class(&self) -> Class {
        self.header.message_type.class
    }

    /// The method, such as Binding or Allocate.
    #[must_use]
    #[inline]
    pub fn method(&self) -> Method {
        self.header.message_type.method
    }

    /// The 96-bit transaction id of the header.
    #[must_use]
    pub fn transaction_id(&self) -> TransactionId {
        self.header.transaction_id()
    }

    /// Whether the sender is a client of RFC 3489: the magic cookie is absent.
    #[must_use]
    pub fn is_rfc3489(&self) -> bool {
        self.header.is_rfc3489()
    }

    /// The bytes that the message was read from.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The attributes that count, in their order, undecoded, without the integrity attributes and
    /// FINGERPRINT.
    #[must_use]
    #[inline]
    pub fn attributes(&self) -> RawAttributes<'a> {
        RawAttributes { rest: &self.bytes[HEADER_LEN..self.end] }
    }

    /// The first attribute of this type; `None` if there is none.
    ///
    /// # Errors
    /// [`AttributeError`] if its value does not have the attribute's form.
    #[inline]
    pub fn attribute<A: Attribute<'a>>(&self) -> Result<Option<A>, AttributeError> {
        match self.attributes().find(|raw| raw.kind == A::KIND) {
            Some(raw) => A::decode(raw.value, &self.header.id).map(Some),
            None => Ok(None),
        }
    }

    /// All attributes of this type, decoded.
    pub fn all<A: Attribute<'a>>(
        &self,
    ) -> impl Iterator<Item = Result<A, AttributeError>> + use<'a, A> {
        let id = self.header.id;
        self.attributes()
            .filter(|raw| raw.kind == A::KIND)
            .map(move |raw| A::decode(raw.value, &id))
    }

    /// Whether there is an attribute of this type, with any value.
    #[must_use]
    pub fn has(&self, kind: AttributeType) -> bool {
        self.attributes().any(|raw| raw.kind == kind)
    }

    /// The comprehension-required attributes that `known` does not name, each type once, for
    /// UNKNOWN-ATTRIBUTES (RFC 8489 §6.3.1).
    #[must_use]
    pub fn unknown_required(&self, known: impl Fn(AttributeType) -> bool) -> UnknownRequired {
        let mut unknown = UnknownRequired::default();
        for raw in
            self.attributes().filter(|raw| raw.kind.is_comprehension_required() && !known(raw.kind))
        {
            unknown.add(raw.kind);
        }
        unknown
    }

    /// Whether the message has MESSAGE-INTEGRITY.
    #[must_use]
    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether the message has MESSAGE-INTEGRITY-SHA256.
    #[must_use]
    pub fn has_integrity_sha256(&self) -> bool {
        self.integrity_sha256.is_some()
    }

    /// Whether MESSAGE-INTEGRITY is present and correct, compared in constant time (RFC 8489
    /// §14.5).
    #[must_use]
    #[inline]
    pub fn verify_integrity(&self, key: &IntegrityKey) -> bool {
        self.integrity.is_some_and(|at| {
            let expected = key.sha1(&self.bytes[..at], length_up_to(at + 4 + SHA1_LEN));
            integrity::equal(&expected, &self.bytes[at + 4..at + 4 + SHA1_LEN])
        })
    }

    /// Whether MESSAGE-INTEGRITY-SHA256 is present, has at least `min_len` bytes (32: not
    /// truncated) and is correct (RFC 8489 §14.6).
    #[must_use]
    pub fn verify_integrity_sha256(&self, key: &IntegrityKey, min_len: usize) -> bool {
        self.integrity_sha256.is_some_and(|(at, len)| {
            let expected = key.sha256(&self.bytes[..at], length_up_to(at + 4 + len));
            len >= min_len && integrity::equal(&expected, &self.bytes[at + 4..at + 4 + len])
        })
    }

    /// Whether FINGERPRINT is correct; `None` if there is none (RFC 8489 §14.7).
    #[must_use]
    pub fn fingerprint(&self) -> Option<bool> {
        let at = self.fingerprint?;
        let expected = fingerprint(&self.bytes[..at], length_up_to(at + 8));
        Some(self.bytes[at + 4..at + 8] == expected.to_be_bytes())
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.method(), self.class(), self.transaction_id())?;
        f.debug_list().entries(self.attributes().map(|raw| (raw.kind, raw.value.len()))).finish()
    }
}

/// An attribute of a message, undecoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAttribute<'a> {
    /// The type of the attribute.
    pub kind: AttributeType,
    /// The value, without padding.
    pub value: &'a [u8],
}

/// The attributes of a message, in their order.
#[derive(Clone, Debug)]
pub struct RawAttributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for RawAttributes<'a> {
    type Item = RawAttribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.rest.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(..len)?;
        self.rest = rest.get(padded(len)..)?;
        Some(RawAttribute { kind: AttributeType(u16::from_be_bytes([head[0], head[1]])), value })
    }
}

/// The attribute types to list in UNKNOWN-ATTRIBUTES.
// Deviation: RFC 8489 §6.3.1: the list ends after sixteen unknown types, so that an answer stays
// small whatever the request holds (H15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnknownRequired {
    kinds: [u16; Self::MAX],
    len: usize,
}

impl UnknownRequired {
    /// Maximum number of types in the list.
    pub const MAX: usize = 16;

    /// Whether every comprehension-required attribute is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The types, in the order of their first appearance.
    #[must_use]
    pub fn kinds(&self) -> &[u16] {
        &self.kinds[..self.len]
    }

    fn add(&mut self, kind: AttributeType) {
        if self.len < self.kinds.len() && !self.kinds().contains(&kind.0) {
            self.kinds[self.len] = kind.0;
            self.len += 1;
        }
    }
}

/// The header's length field for a message that ends at `end`, which [`Message::decode`] has
/// bounded.
fn length_up_to(end: usize) -> u16 {
    (end - HEADER_LEN) as u16
}
