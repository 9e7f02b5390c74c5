use super::{Attribute, AttributeError, AttributeType, exactly};

/// RFC 8489 §14.4: SHA-256 of username, colon and realm, in the place of USERNAME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Userhash(pub [u8; 32]);

impl<'a> Attribute<'a> for Userhash {
    const KIND: AttributeType = AttributeType::USERHASH;

    #[inline]
    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        exactly(value).copied().map(Self)
    }

    fn value_len(&self) -> usize {
        32
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        value.copy_from_slice(&self.0);
    }
}
