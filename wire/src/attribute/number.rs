//! The attributes that hold one 32-bit number.

use super::{Attribute, AttributeError, AttributeType, exactly};

/// Defines attributes that hold one 32-bit number.
macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $kind:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub u32);

        impl<'a> Attribute<'a> for $name {
            const KIND: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
                exactly(value).map(|bytes| Self(u32::from_be_bytes(*bytes)))
            }

            fn value_len(&self) -> usize {
                4
            }

            fn write(&self, value: &mut [u8], _: &[u8; 16]) {
                value.copy_from_slice(&self.0.to_be_bytes());
            }
        }
    )*};
}

numbers! {
    /// RFC 8656 §18.2: the lifetime of an allocation, in seconds.
    Lifetime: LIFETIME;
    /// RFC 8445 §16.1: the priority of a candidate.
    Priority: PRIORITY;
    /// A time in seconds; RFC 5780 §9.1 reserves the number.
    CacheTimeout: CACHE_TIMEOUT;
}
