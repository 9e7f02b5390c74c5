//! The attributes without a value: their presence is the information.

use super::{Attribute, AttributeError, AttributeType};

/// Defines attributes without a value.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident: $kind:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl<'a> Attribute<'a> for $name {
            const KIND: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
                if value.is_empty() { Ok(Self) } else { Err(AttributeError::Length) }
            }

            fn value_len(&self) -> usize {
                0
            }

            fn write(&self, _: &mut [u8], _: &[u8; 16]) {}
        }
    )*};
}

flags! {
    /// RFC 8656 §18.9: set the don't-fragment bit towards the peer.
    DontFragment: DONT_FRAGMENT;
    /// RFC 8445 §16.1: the controlling agent nominates this pair.
    UseCandidate: USE_CANDIDATE;
}
