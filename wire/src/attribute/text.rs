//! The attributes that hold text or bytes that name a user: USERNAME and its kin, and USERHASH.

use super::{Attribute, AttributeError, AttributeType, exactly};

/// Defines attributes that hold text of at most `$max` bytes. RFC 8489 §14.3 requires a writer to
/// stay below 509 bytes and a reader to accept 763, for RFC 5389's writers. Here both allow 763,
/// because a client echoes the realm and the nonce of such a server.
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
    /// RFC 8489 §14.3: the user's name.
    Username: USERNAME, 763;
    /// RFC 8489 §14.9: the realm of the credentials.
    Realm: REALM, 763;
    /// RFC 8489 §14.10: the server's nonce.
    Nonce: NONCE, 763;
    /// RFC 8489 §14.14: name and version of the sender's software.
    Software: SOFTWARE, 763;
    /// RFC 8489 §14.16: the domain of the alternate server, for its certificate.
    AlternateDomain: ALTERNATE_DOMAIN, 255;
}

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
