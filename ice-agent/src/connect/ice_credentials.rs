//! The short-term credentials of the connectivity checks.

use is::IceCreds;

/// Username fragment and password of one agent (RFC 8445 §5.3).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct IceCredentials {
    /// 4 to 32 ice-chars.
    pub ufrag: String,
    /// 22 to 256 ice-chars.
    pub password: String,
}

impl IceCredentials {
    /// Makes credentials from 32 octets of a cryptographic generator: 48 bits of ufrag, 144 bits of
    /// password. The engine's own credentials can be guessed, against RFC 8445 §5.3.
    #[must_use]
    pub(super) fn from_random(octets: [u8; 32]) -> Self {
        const ICE_CHARS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text: String =
            octets.iter().map(|octet| char::from(ICE_CHARS[usize::from(octet & 63)])).collect();
        let (ufrag, password) = text.split_at(8);
        Self { ufrag: ufrag.into(), password: password.into() }
    }

    /// Converts them for the engine.
    pub(super) fn to_engine(&self) -> IceCreds {
        IceCreds { ufrag: self.ufrag.clone(), pass: self.password.clone() }
    }
}

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8445_5_3_credentials_have_their_lengths() {
        let credentials = IceCredentials::from_random([255; 32]);
        assert_eq!((credentials.ufrag.len(), credentials.password.len()), (8, 24));
        assert!(!format!("{credentials:?}").contains(&credentials.password));
    }
}
