//! PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS.

use super::{Attribute, AttributeError, AttributeType};
use crate::padded;

/// One algorithm with its parameters (RFC 8489 §14.11, numbered in RFC 8489 §18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordAlgorithmEntry<'a> {
    /// The number of the algorithm: 1 is MD5, 2 is SHA-256.
    pub algorithm: u16,
    /// The parameters, without padding; MD5 and SHA-256 have none.
    pub parameters: &'a [u8],
}

/// RFC 8489 §14.12: the algorithm that the client used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordAlgorithm<'a>(pub PasswordAlgorithmEntry<'a>);

impl<'a> Attribute<'a> for PasswordAlgorithm<'a> {
    const KIND: AttributeType = AttributeType::PASSWORD_ALGORITHM;

    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        let (entry, rest) = split(value).ok_or(AttributeError::Length)?;
        if rest.is_empty() { Ok(Self(entry)) } else { Err(AttributeError::Length) }
    }

    fn value_len(&self) -> usize {
        4 + padded(self.0.parameters.len())
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        let PasswordAlgorithmEntry { algorithm, parameters } = self.0;
        value.fill(0);
        value[..2].copy_from_slice(&algorithm.to_be_bytes());
        // The writer has refused a value that is too long for 16 bits.
        value[2..4].copy_from_slice(&(parameters.len() as u16).to_be_bytes());
        value[4..4 + parameters.len()].copy_from_slice(parameters);
    }
}

/// RFC 8489 §14.11: the algorithms that the server accepts, the preferred one first. The bytes are
/// kept as received, because a client echoes them and the server compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordAlgorithms<'a>(&'a [u8]);

impl<'a> PasswordAlgorithms<'a> {
    /// MD5 alone.
    pub const MD5: PasswordAlgorithms<'static> = PasswordAlgorithms(&[0, 1, 0, 0]);
    /// SHA-256 first, then MD5.
    pub const SHA256_MD5: PasswordAlgorithms<'static> =
        PasswordAlgorithms(&[0, 2, 0, 0, 0, 1, 0, 0]);

    /// The entries, in their order.
    pub fn entries(&self) -> impl Iterator<Item = PasswordAlgorithmEntry<'a>> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (entry, behind) = split(rest)?;
            rest = behind;
            Some(entry)
        })
    }
}

impl<'a> Attribute<'a> for PasswordAlgorithms<'a> {
    const KIND: AttributeType = AttributeType::PASSWORD_ALGORITHMS;

    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        let mut rest = value;
        while !rest.is_empty() {
            (_, rest) = split(rest).ok_or(AttributeError::Length)?;
        }
        Ok(Self(value))
    }

    fn value_len(&self) -> usize {
        self.0.len()
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        value.copy_from_slice(self.0);
    }
}

/// The first entry and the rest behind its padding. The padding of the last entry may be missing:
/// implementations differ.
fn split(value: &[u8]) -> Option<(PasswordAlgorithmEntry<'_>, &[u8])> {
    let (head, rest) = value.split_first_chunk::<4>()?;
    let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let parameters = rest.get(..len)?;
    let entry =
        PasswordAlgorithmEntry { algorithm: u16::from_be_bytes([head[0], head[1]]), parameters };
    Some((entry, rest.get(padded(len)..).unwrap_or(&[])))
}
