//! The secret that a fleet shares, and the keys that are derived from it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ring::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

/// How long a subkey is the current one.
pub const EPOCH: Duration = Duration::from_secs(12 * 60 * 60);

/// Minimum length of a fleet's secret, in bytes.
const MIN_LEN: usize = 32;

/// The epoch of a Unix time in seconds. It is the same on every server of a fleet.
#[must_use]
pub fn epoch_at(unix: u64) -> u64 {
    unix / EPOCH.as_secs()
}

/// The purpose of a subkey. Keys of different purposes are independent of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The MAC in nonces.
    Nonce,
    /// Records and secrets at rest.
    Seal,
    /// Mobility tickets (RFC 8016).
    Ticket,
}

impl Purpose {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Nonce => b"nonce",
            Self::Seal => b"seal",
            Self::Ticket => b"ticket",
        }
    }
}

/// The secret that a fleet shares, from a file. Each key is HKDF-SHA256 of the secret, a purpose
/// and an epoch; no key is ever stored. Wiped when the last copy is dropped, never printed.
#[derive(Clone)]
pub struct FleetKey(Arc<Zeroizing<Vec<u8>>>);

/// The secret is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the fleet key has {0} bytes; it needs at least {MIN_LEN} random bytes")]
pub struct WeakFleetKey(pub usize);

impl FleetKey {
    /// Takes at least 32 random bytes.
    ///
    /// # Errors
    /// The secret is shorter.
    pub fn new(secret: &[u8]) -> Result<Self, WeakFleetKey> {
        if secret.len() < MIN_LEN {
            Err(WeakFleetKey(secret.len()))
        } else {
            Ok(Self(Arc::new(Zeroizing::new(secret.to_vec()))))
        }
    }

    /// The key for a purpose in an epoch.
    #[must_use]
    pub fn subkey(&self, purpose: Purpose, epoch: u64) -> Subkey {
        let mut bytes = Zeroizing::new([0; 32]);
        let epoch = epoch.to_be_bytes();
        // ring does not wipe the extracted key; it lives on the stack for as long as this call.
        let extracted = Salt::new(HKDF_SHA256, b"causeway fleet key 1").extract(&self.0);
        let info = [purpose.name(), &epoch];
        let expanded =
            extracted.expand(&info, HKDF_SHA256).expect("32 bytes are within HKDF's limit");
        expanded
            .fill(&mut bytes[..])
            .expect("the length is that of SHA-256, as was said to expand");
        Subkey(bytes)
    }

    /// The key that mints nonces at a Unix time in seconds, and the previous one, which still
    /// verifies them.
    #[must_use]
    pub fn nonce_keys(&self, unix: u64) -> [Subkey; 2] {
        let epoch = epoch_at(unix);
        [epoch, epoch.saturating_sub(1)].map(|epoch| self.subkey(Purpose::Nonce, epoch))
    }
}

impl fmt::Debug for FleetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FleetKey([redacted])")
    }
}

/// A derived key of 32 pseudorandom bytes. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Subkey(Zeroizing<[u8; 32]>);

impl Subkey {
    /// The bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Subkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subkey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_secret_purpose_and_epoch_and_by_nothing_else() {
        let [one, other] = [[1; 32], [2; 32]].map(|secret| FleetKey::new(&secret).unwrap());
        let key = one.subkey(Purpose::Nonce, 7);
        assert_eq!(
            key.as_bytes(),
            FleetKey::new(&[1; 32]).unwrap().subkey(Purpose::Nonce, 7).as_bytes()
        );
        for different in [
            other.subkey(Purpose::Nonce, 7),
            one.subkey(Purpose::Seal, 7),
            one.subkey(Purpose::Nonce, 8),
        ] {
            assert_ne!(key.as_bytes(), different.as_bytes());
        }
    }

    #[test]
    fn the_key_that_minted_is_the_previous_one_an_epoch_later() {
        let key = FleetKey::new(&[1; 32]).unwrap();
        let (now, later) =
            (key.nonce_keys(1_800_000_000), key.nonce_keys(1_800_000_000 + EPOCH.as_secs()));
        assert_eq!(now[0].as_bytes(), later[1].as_bytes());
        assert_ne!(now[0].as_bytes(), later[0].as_bytes());
    }

    #[test]
    fn a_short_secret_is_refused_and_no_secret_is_printed() {
        assert_eq!(FleetKey::new(&[1; 31]).unwrap_err(), WeakFleetKey(31));
        let key = FleetKey::new(&[1; 32]).unwrap();
        assert_eq!(
            format!("{key:?} {:?}", key.subkey(Purpose::Seal, 1)),
            "FleetKey([redacted]) Subkey([redacted])"
        );
    }
}
