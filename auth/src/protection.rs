//! How a request is protected, and the checks of its password algorithm.

use causeway_wire::attribute::{PasswordAlgorithm, PasswordAlgorithms};
use causeway_wire::{IntegrityKey, Message};

use crate::credential::Credential;
use crate::key::Algorithm;
use crate::offers::Offers;
use crate::refusal::Refusal;

/// Minimum length of MESSAGE-INTEGRITY-SHA256 in bytes: TURN defines no truncation (RFC 8489
/// §14.6), so the value must be whole.
const SHA256_MIN_LEN: usize = 32;

/// How a request was protected; its answer is protected in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// The request named no algorithm: an MD5 key, and MESSAGE-INTEGRITY in the answer.
    Unnamed,
    /// PASSWORD-ALGORITHM named this one: MESSAGE-INTEGRITY-SHA256 in the answer.
    Named(Algorithm),
}

impl Protection {
    /// The algorithm of the key.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::Unnamed => Algorithm::Md5,
            Self::Named(algorithm) => algorithm,
        }
    }

    /// Performs the checks of PASSWORD-ALGORITHMS and PASSWORD-ALGORITHM in RFC 8489 §9.2.4, for a
    /// request whose nonce announced `offers`. Without offers, no list can match.
    pub(crate) fn read(request: &Message<'_>, offers: Offers) -> Result<Self, Refusal> {
        let (list, named) = (
            request.attribute::<PasswordAlgorithms<'_>>(),
            request.attribute::<PasswordAlgorithm<'_>>(),
        );
        match (list, named) {
            // "If the request contains neither the PASSWORD-ALGORITHMS nor the PASSWORD-ALGORITHM
            // algorithm, then the request is processed as though PASSWORD-ALGORITHM
            // were MD5."
            (Ok(None), Ok(None)) => Ok(Self::Unnamed),
            // "Otherwise, unless (1) PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS are both present,
            // (2) PASSWORD-ALGORITHMS matches the value sent in the response that sent
            // this NONCE, and (3) PASSWORD-ALGORITHM matches one of the entries in
            // PASSWORD-ALGORITHMS, the server MUST generate an error response with an
            // error code of 400 (Bad Request)."
            (Ok(Some(list)), Ok(Some(named))) if Some(list) == offers.password_algorithms() => {
                Algorithm::of(&named.0).map(Self::Named).ok_or(Refusal::AlgorithmMismatch)
            }
            _ => Err(Refusal::AlgorithmMismatch),
        }
    }
}

/// "If the MESSAGE-INTEGRITY-SHA256 attribute is present, compute the value … Otherwise …
/// MESSAGE-INTEGRITY" (RFC 8489 §9.2.4).
pub(crate) fn verify(request: &Message<'_>, key: &IntegrityKey) -> bool {
    if request.has_integrity_sha256() {
        request.verify_integrity_sha256(key, SHA256_MIN_LEN)
    } else {
        request.verify_integrity(key)
    }
}

/// Whether a request is signed with a key of this credential, even if its nonce is stale or the
/// credential has expired.
#[must_use]
pub fn is_signed_by(request: &Message<'_>, credential: &Credential) -> bool {
    let keys = [Algorithm::Md5, Algorithm::Sha256]
        .into_iter()
        .filter_map(|algorithm| credential.integrity(algorithm));
    keys.into_iter().any(|key| verify(request, key))
}
