use super::{Attribute, AttributeError, AttributeType};

/// Defines attributes that hold text, of at most `$max` bytes. RFC 8489 §14.3 has a writer stay
/// below 509 and a reader take 763, for the sake of RFC 5389's writers. Here both take 763: a
/// client echoes the realm and the nonce of such a server.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $kind:ident, $max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<'a>(pub &'a str);

        impl<'a> Attribute<'a> for $name<'a> {
            const KIND: AttributeType = AttributeType::$kind;
            const MAX_LEN: usize = $max;

            #[inline]
            fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
                if value.len() > Self::MAX_LEN {
                    return Err(AttributeError::Length);
                }
                std::str::from_utf8(value).map(Self).map_err(|_| AttributeError::Utf8)
            }

            fn value_len(&self) -> usize {
                self.0.len()
            }

            fn write(&self, value: &mut [u8], _: &[u8; 16]) {
                value.copy_from_slice(self.0.as_bytes());
            }
        }
    )*};
}

texts! {
    /// RFC 8489 §14.3.
    Username: USERNAME, 763;
    /// RFC 8489 §14.9.
    Realm: REALM, 763;
    /// RFC 8489 §14.10.
    Nonce: NONCE, 763;
    /// RFC 8489 §14.14.
    Software: SOFTWARE, 763;
    /// RFC 8489 §14.16.
    AlternateDomain: ALTERNATE_DOMAIN, 255;
}
