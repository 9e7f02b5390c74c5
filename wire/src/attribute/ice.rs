//! The tie-breakers of ICE's role conflicts.

use super::{Attribute, AttributeError, AttributeType, exactly};

/// Defines the two attributes that hold a tie-breaker.
macro_rules! tie_breakers {
    ($($(#[$doc:meta])* $name:ident: $kind:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub u64);

        impl<'a> Attribute<'a> for $name {
            const KIND: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
                exactly(value).map(|bytes| Self(u64::from_be_bytes(*bytes)))
            }

            fn value_len(&self) -> usize {
                8
            }

            fn write(&self, value: &mut [u8], _: &[u8; 16]) {
                value.copy_from_slice(&self.0.to_be_bytes());
            }
        }
    )*};
}

tie_breakers! {
    /// RFC 8445 §16.1: the sender has the controlled role.
    IceControlled: ICE_CONTROLLED;
    /// RFC 8445 §16.1: the sender has the controlling role.
    IceControlling: ICE_CONTROLLING;
}
