use causeway_wire::attribute::{AttributeType, Nonce, PasswordAlgorithm, PasswordAlgorithmEntry, PasswordAlgorithms, Realm, Username};
use causeway_wire::{EncodeError, IntegrityKey, Message, MessageWriter};

use crate::credentials::Credentials;
use crate::failure::Failure;

/// "obMatJos2", in front of the base64 of the 24 security-feature bits (RFC 8489 §9.2).
const COOKIE: &str = "obMatJos2";
/// MD5's number (RFC 8489 §18.5.1).
const MD5: u16 = 1;

/// What the server asked for in a 401 or 438, and the key that answers it.
#[derive(Debug)]
pub(crate) struct Challenge {
    realm: String,
    nonce: String,
    key: IntegrityKey,
    /// PASSWORD-ALGORITHMS as the server sent them; their presence demands MESSAGE-INTEGRITY-SHA256.
    algorithms: Option<Box<[u8]>>,
}

/// The security features that a nonce tells of (RFC 8489 §18.1: bit 0 is the leftmost).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Features {
    password_algorithms: bool,
    username_anonymity: bool,
}

impl Challenge {
    /// Reads a 401 or 438 (RFC 8489 §9.2.5). A 438 need not repeat the realm.
    pub(crate) fn read(message: &Message<'_>, credentials: &Credentials, before: Option<&Self>) -> Result<Self, Failure> {
        let nonce = message.attribute::<Nonce<'_>>().ok().flatten().ok_or(Failure::Malformed)?.0;
        let realm = match (message.attribute::<Realm<'_>>(), before) {
            (Ok(Some(realm)), _) => realm.0,
            (Ok(None), Some(before)) => &before.realm,
            _ => return Err(Failure::Malformed),
        };
        let features = features(nonce);
        let algorithms = message.attribute::<PasswordAlgorithms<'_>>().map_err(|_| Failure::Challenge)?;
        if features.password_algorithms && algorithms.is_none() {
            return Err(Failure::Challenge);
        }
        // "the USERHASH attribute MUST be used", which this client does not have.
        if features.username_anonymity {
            return Err(Failure::Challenge);
        }
        if algorithms.is_some_and(|list| list.entries().all(|entry| entry.algorithm != MD5)) {
            return Err(Failure::Challenge);
        }
        let raw = message.attributes().find(|raw| raw.kind == AttributeType::PASSWORD_ALGORITHMS);
        Ok(Self { realm: realm.into(), nonce: nonce.into(), key: credentials.key(realm), algorithms: raw.map(|raw| raw.value.into()) })
    }

    /// Whether an answer to the same question is worth another try: "The client MUST NOT perform this retry if it is not changing the
    /// USERNAME, USERHASH, REALM, or its associated password from the previous attempt" (RFC 8489 §9.2.5).
    pub(crate) fn differs_in_realm(&self, before: &Self) -> bool {
        self.realm != before.realm
    }

    /// Appends the attributes of the mechanism and the integrity (RFC 8489 §9.2.3.2, §9.2.5).
    pub(crate) fn write(&self, credentials: &Credentials, writer: &mut MessageWriter<'_>) -> Result<(), EncodeError> {
        writer.put(&Username(credentials.username()))?.put(&Realm(&self.realm))?.put(&Nonce(&self.nonce))?;
        match &self.algorithms {
            Some(algorithms) => {
                writer.put_raw(AttributeType::PASSWORD_ALGORITHMS, algorithms)?;
                writer.put(&PasswordAlgorithm(PasswordAlgorithmEntry { algorithm: MD5, parameters: &[] }))?;
                writer.integrity_sha256(&self.key)?;
            }
            None => {
                writer.integrity(&self.key)?;
            }
        }
        Ok(())
    }

    /// Whether an answer was made with the same key, in the way that was asked with.
    pub(crate) fn verifies(&self, message: &Message<'_>) -> bool {
        match self.algorithms {
            Some(_) => message.verify_integrity_sha256(&self.key, 16),
            None => message.verify_integrity(&self.key),
        }
    }
}

/// Whether the nonce promises PASSWORD-ALGORITHMS that are not there: somebody took them out (RFC 8489 §9.2.1).
pub(crate) fn is_bid_down(message: &Message<'_>) -> bool {
    let nonce = message.attribute::<Nonce<'_>>().ok().flatten();
    nonce.is_some_and(|nonce| features(nonce.0).password_algorithms) && !message.has(AttributeType::PASSWORD_ALGORITHMS)
}

fn features(nonce: &str) -> Features {
    let Some(bits) = nonce.strip_prefix(COOKIE).and_then(|rest| rest.as_bytes().first_chunk::<4>()) else {
        return Features::default();
    };
    // The first of the four characters of base64 holds the six leftmost bits.
    let highest = match bits[0] {
        letter @ b'A'..=b'Z' => letter - b'A',
        letter @ b'a'..=b'z' => letter - b'a' + 26,
        digit @ b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => 0,
    };
    Features { password_algorithms: highest & 0b10_0000 != 0, username_anonymity: highest & 0b01_0000 != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8489_18_1_bit_0_is_the_leftmost() {
        let of = |nonce| {
            let features = features(nonce);
            (features.password_algorithms, features.username_anonymity)
        };
        assert_eq!(of("obMatJos2AAAAxyz"), (false, false));
        assert_eq!(of("obMatJos2gAAAxyz"), (true, false));
        assert_eq!(of("obMatJos2QAAAxyz"), (false, true));
        assert_eq!(of("obMatJos2wAAA"), (true, true));
        assert_eq!(of("obMatJos2wA"), (false, false), "no cookie: too short");
        assert_eq!(of("4ca1e"), (false, false));
    }
}
