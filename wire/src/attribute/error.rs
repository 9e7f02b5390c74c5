//! ERROR-CODE, ADDRESS-ERROR-CODE and UNKNOWN-ATTRIBUTES.

use super::{AddressFamily, Attribute, AttributeError, AttributeType};
use crate::error_code::ErrorCode;

/// Maximum length of the value: four bytes and the longest reason phrase that is read (RFC 8489
/// §14.8).
const MAX_LEN: usize = 4 + 763;

/// RFC 8489 §14.8, ERROR-CODE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCodeAttribute<'a> {
    /// The error code, 300 to 699.
    pub code: ErrorCode,
    /// The reason phrase, for display only.
    pub reason: &'a str,
}

impl ErrorCodeAttribute<'static> {
    /// The code with its recommended phrase.
    #[must_use]
    pub const fn new(code: ErrorCode) -> Self {
        Self { code, reason: code.reason() }
    }
}

impl<'a> Attribute<'a> for ErrorCodeAttribute<'a> {
    const KIND: AttributeType = AttributeType::ERROR_CODE;
    const MAX_LEN: usize = MAX_LEN;

    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        let (_, code, reason) = read(value)?;
        Ok(Self { code, reason })
    }

    fn value_len(&self) -> usize {
        4 + self.reason.len()
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        write(value, 0, self.code, self.reason);
    }
}

/// RFC 8656 §18.12, ADDRESS-ERROR-CODE: why one family of a dual allocation was not allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressErrorCode<'a> {
    /// The family that was not allocated.
    pub family: AddressFamily,
    /// 440 (the family is not supported) or 508 (there is no free port).
    pub code: ErrorCode,
    /// The reason phrase, for display only.
    pub reason: &'a str,
}

impl<'a> Attribute<'a> for AddressErrorCode<'a> {
    const KIND: AttributeType = AttributeType::ADDRESS_ERROR_CODE;
    const MAX_LEN: usize = MAX_LEN;

    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        let (first, code, reason) = read(value)?;
        Ok(Self { family: AddressFamily::from_number(first)?, code, reason })
    }

    fn value_len(&self) -> usize {
        4 + self.reason.len()
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        write(value, self.family.number(), self.code, self.reason);
    }
}

/// RFC 8489 §14.13, UNKNOWN-ATTRIBUTES: a list of 16-bit types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownAttributes<'a> {
    /// The types to write.
    Kinds(&'a [u16]),
    /// The value as read: two bytes a type.
    Raw(&'a [u8]),
}

impl UnknownAttributes<'_> {
    /// The attribute types in the list, in its order.
    pub fn kinds(&self) -> impl Iterator<Item = AttributeType> + '_ {
        let (kinds, raw) = match self {
            Self::Kinds(kinds) => (*kinds, &[][..]),
            Self::Raw(raw) => (&[][..], *raw),
        };
        let read = raw.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        kinds.iter().copied().chain(read).map(AttributeType)
    }
}

impl<'a> Attribute<'a> for UnknownAttributes<'a> {
    const KIND: AttributeType = AttributeType::UNKNOWN_ATTRIBUTES;

    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        if value.len().is_multiple_of(2) {
            Ok(Self::Raw(value))
        } else {
            Err(AttributeError::Length)
        }
    }

    fn value_len(&self) -> usize {
        match self {
            Self::Kinds(kinds) => 2 * kinds.len(),
            Self::Raw(raw) => raw.len(),
        }
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        match self {
            Self::Kinds(kinds) => {
                for (space, kind) in value.chunks_exact_mut(2).zip(*kinds) {
                    space.copy_from_slice(&kind.to_be_bytes());
                }
            }
            Self::Raw(raw) => value.copy_from_slice(raw),
        }
    }
}

/// The first byte, the code and the reason of the form that ERROR-CODE and ADDRESS-ERROR-CODE
/// share.
fn read(value: &[u8]) -> Result<(u8, ErrorCode, &str), AttributeError> {
    let (head, reason) = value.split_first_chunk::<4>().ok_or(AttributeError::Length)?;
    // "Receivers MUST ignore these bits": all but the lowest three of the third byte.
    let (class, number) = (u16::from(head[2] & 0x07), u16::from(head[3]));
    if !(3..=6).contains(&class) || number > 99 {
        return Err(AttributeError::Range);
    }
    if value.len() > MAX_LEN {
        return Err(AttributeError::Length);
    }
    let code = ErrorCode::new(class * 100 + number).ok_or(AttributeError::Range)?;
    Ok((head[0], code, std::str::from_utf8(reason).map_err(|_| AttributeError::Utf8)?))
}

fn write(value: &mut [u8], first: u8, code: ErrorCode, reason: &str) {
    let number = code.number();
    value[..4].copy_from_slice(&[first, 0, (number / 100) as u8, (number % 100) as u8]);
    value[4..].copy_from_slice(reason.as_bytes());
}
