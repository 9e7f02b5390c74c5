//! The server's challenge (401 or 438) and the key that answers it.

use causeway_auth::Algorithm;
use causeway_wire::attribute::{
    AttributeType, Nonce, PasswordAlgorithm, PasswordAlgorithmEntry, PasswordAlgorithms, Realm,
    Userhash, Username,
};
use causeway_wire::{EncodeError, IntegrityKey, Message, MessageWriter};

use super::features::Features;
use crate::credentials::{Credentials, Security};
use crate::failure::Failure;

/// Length of MESSAGE-INTEGRITY-SHA256, in bytes. No STUN or TURN server truncates it, so a shorter
/// one counts as missing.
const WHOLE_SHA256: usize = 32;

/// The server's challenge in a 401 or 438, with the key that answers it.
#[derive(Debug)]
pub(crate) struct Challenge {
    realm: String,
    nonce: String,
    key: IntegrityKey,
    /// PASSWORD-ALGORITHMS as received, and the algorithm that was chosen; with them,
    /// MESSAGE-INTEGRITY-SHA256 is required.
    algorithms: Option<(Box<[u8]>, Algorithm)>,
    /// The value of USERHASH, if the server wants it instead of USERNAME.
    userhash: Option<[u8; 32]>,
}

impl Challenge {
    /// Reads a 401 or 438 (RFC 8489 §9.2.5). A 438 need not repeat the realm.
    pub(crate) fn read(
        message: &Message<'_>,
        credentials: &Credentials,
        before: Option<&Self>,
    ) -> Result<Self, Failure> {
        let nonce = message.attribute::<Nonce<'_>>().ok().flatten().ok_or(Failure::Malformed)?.0;
        let realm = match (message.attribute::<Realm<'_>>(), before) {
            (Ok(Some(realm)), _) => realm.0,
            (Ok(None), Some(before)) => &before.realm,
            _ => return Err(Failure::Malformed),
        };
        let features = Features::of(nonce);
        let offered =
            message.attribute::<PasswordAlgorithms<'_>>().map_err(|_| Failure::Challenge)?;
        // An attacker who removed the attribute may have removed the cookie too. A feature that the
        // server had before is still expected ("all the subsequent requests MUST be authenticated
        // using MESSAGE-INTEGRITY-SHA256 only").
        let expected = features.password_algorithms
            || before.is_some_and(|before| before.algorithms.is_some() && before.realm == realm);
        if expected && offered.is_none() {
            return Err(Failure::Challenge);
        }
        let raw = message
            .attributes()
            .find(|raw| raw.kind == AttributeType::PASSWORD_ALGORITHMS)
            .map(|raw| raw.value.into());
        let chosen =
            offered.map(|offered| choose(&offered).ok_or(Failure::Challenge)).transpose()?;
        Ok(Self {
            realm: realm.into(),
            nonce: nonce.into(),
            key: credentials.key(realm, chosen.unwrap_or(Algorithm::Md5)),
            algorithms: raw.zip(chosen),
            userhash: features.username_anonymity.then(|| credentials.userhash(realm)),
        })
    }

    /// Whether the realm differs, so that another attempt makes sense: "The client MUST NOT perform
    /// this retry if it is not changing the USERNAME, USERHASH, REALM, or its associated password
    /// from the previous attempt" (RFC 8489 §9.2.5).
    pub(crate) fn differs_in_realm(&self, before: &Self) -> bool {
        self.realm != before.realm
    }

    /// How requests are authenticated with it.
    pub(crate) fn security(&self) -> Security {
        Security {
            algorithm: self.algorithms.as_ref().map_or(Algorithm::Md5, |(_, chosen)| *chosen),
            sha256_integrity: self.algorithms.is_some(),
            userhash: self.userhash.is_some(),
        }
    }

    /// Writes the attributes of the credential mechanism and the integrity (RFC 8489 §9.2.3.2,
    /// §9.2.5).
    pub(crate) fn write(
        &self,
        credentials: &Credentials,
        writer: &mut MessageWriter<'_>,
    ) -> Result<(), EncodeError> {
        match self.userhash {
            Some(userhash) => writer.put(&Userhash(userhash))?,
            None => writer.put(&Username(credentials.username()))?,
        };
        writer.put(&Realm(&self.realm))?.put(&Nonce(&self.nonce))?;
        match &self.algorithms {
            Some((offered, chosen)) => {
                writer.put_raw(AttributeType::PASSWORD_ALGORITHMS, offered)?;
                writer.put(&PasswordAlgorithm(PasswordAlgorithmEntry {
                    algorithm: chosen.number(),
                    parameters: &[],
                }))?;
                writer.integrity_sha256(&self.key)?;
            }
            None => {
                writer.integrity(&self.key)?;
            }
        }
        Ok(())
    }

    /// Whether a response has a correct integrity of the kind that the request had.
    pub(crate) fn verifies(&self, message: &Message<'_>) -> bool {
        match self.algorithms {
            Some(_) => message.verify_integrity_sha256(&self.key, WHOLE_SHA256),
            None => message.verify_integrity(&self.key),
        }
    }
}

/// Chooses SHA-256 if it is offered, wherever in the list: "if the response contains a
/// PASSWORD-ALGORITHMS attribute and this attribute contains both MD5 and SHA-256 algorithms, and
/// the client also supports both the algorithms, the request MUST contain a PASSWORD-ALGORITHM
/// attribute with the SHA-256 algorithm" (RFC 8656 §6). Neither has parameters (RFC 8489 §18.5.1).
// Deviation: RFC 8489 §9.2.5: not "the first algorithm supported on the list", because of RFC 8656
// §6; for STUN alone it is no worse.
fn choose(offered: &PasswordAlgorithms<'_>) -> Option<Algorithm> {
    let offers = |wanted: Algorithm| {
        offered
            .entries()
            .filter_map(|entry| Algorithm::of(&entry))
            .find(|algorithm| *algorithm == wanted)
    };
    offers(Algorithm::Sha256).or_else(|| offers(Algorithm::Md5))
}

/// Whether the nonce announces PASSWORD-ALGORITHMS but the message lacks it: an attacker has
/// removed it (RFC 8489 §9.2.1).
pub(crate) fn is_bid_down(message: &Message<'_>) -> bool {
    let nonce = message.attribute::<Nonce<'_>>().ok().flatten();
    nonce.is_some_and(|nonce| Features::of(nonce.0).password_algorithms)
        && !message.has(AttributeType::PASSWORD_ALGORITHMS)
}
