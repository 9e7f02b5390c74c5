//! Writes responses: success, error, and the challenge that asks for credentials.

use std::time::Duration;

use causeway_auth::{Authenticator, Credential, MAX_NONCE_LEN, Protection};
use causeway_wire::attribute::{
    AddressErrorCode, Attribute as _, ErrorCodeAttribute, Lifetime, Nonce, Realm, ReservationToken,
    Software, UnknownAttributes, XorMappedAddress, XorRelayedAddress,
};
use causeway_wire::{
    Class, EncodeError, ErrorCode, HEADER_LEN, Header, MessageWriter, Method, padded,
};

use crate::allocation::relays::BindFailure;
use crate::allocation::table::Allocations;
use crate::five_tuple::FiveTuple;
use crate::ids::AllocationId;
use crate::verdict::{Discard, Reply, Respond};

/// Writes the response to one request. Responses to authenticated requests carry integrity, errors
/// included (H29).
// Deviation: RFC 8656 §5: SOFTWARE, which the server SHOULD include in Allocate and Refresh
// responses, is left out unless it is configured, and always without authentication: it makes the
// response longer than its request, and tells an attacker what to try (H11).
pub(crate) struct Answer<'a> {
    pub(crate) to: FiveTuple,
    pub(crate) header: Header,
    /// The credential and the protection of the request: the response gets the same.
    pub(crate) proven: Option<(&'a Credential, Protection)>,
    pub(crate) fingerprint: bool,
    pub(crate) software: Option<&'a str>,
}

type Filled = Result<(), EncodeError>;

/// Length of an Allocate request with REQUESTED-TRANSPORT, which "MUST" be there (RFC 8656 §7.1),
/// and nothing else.
const SHORTEST_ALLOCATE: usize = 20 + 8;

/// Whether the challenge of a realm is too short to be useful for flooding others: at most 2.6
/// times as long as the shortest Allocate request, IP and UDP headers included (H11). It is not if
/// the realm's name is too long; the limiter bounds the sum nevertheless.
#[must_use]
pub fn challenge_is_modest(realm: &Authenticator) -> bool {
    let list = realm.offers().password_algorithms().map_or(0, |list| 4 + padded(list.value_len()));
    let answered =
        HEADER_LEN + 4 + 4 + 4 + padded(realm.realm().len()) + 4 + padded(MAX_NONCE_LEN) + list;
    is_modest(true, SHORTEST_ALLOCATE, answered)
}

/// Whether a response is at most 2.6 times as long as its request, IP and UDP headers included.
fn is_modest(ipv4: bool, asked: usize, answered: usize) -> bool {
    let around = if ipv4 { 20 + 8 } else { 40 + 8 };
    5 * (answered + around) <= 13 * (asked + around)
}

impl Answer<'_> {
    /// Writes a success response.
    pub(crate) fn success(
        &self,
        out: &mut [u8],
        fill: impl FnOnce(&mut MessageWriter<'_>) -> Filled,
    ) -> Reply {
        self.write(Class::SuccessResponse, None, out, fill)
    }

    /// Writes an error response; `unknown` are the types for UNKNOWN-ATTRIBUTES.
    pub(crate) fn error(&self, code: ErrorCode, unknown: &[u16], out: &mut [u8]) -> Reply {
        self.write(Class::ErrorResponse, Some(code), out, |writer| {
            writer.put(&ErrorCodeAttribute::new(code))?;
            if !unknown.is_empty() {
                writer.put(&UnknownAttributes::Kinds(unknown))?;
            }
            Ok(())
        })
    }

    /// Writes an error response that asks for credentials (RFC 8489 §9.2.4). `asked` is the length
    /// of the request, `unix` the time in seconds.
    // Deviation: RFC 8489 §9.2.4: PASSWORD-ALGORITHMS, which an answer to an unknown user or a
    // stale nonce MUST include, is left out as long as MD5 is the only algorithm: the nonce says so
    // by its cookie, and a client that finds the attribute has to use MESSAGE-INTEGRITY-SHA256.
    // Deviation: RFC 8489 §6.3.1.1: the reason phrase, which SHOULD suit the code, is empty where
    // the answer to a datagram would else be more than 2.6 times as long as what asked for it, IP
    // and UDP counted (H11).
    pub(crate) fn challenge(
        &self,
        asked: usize,
        code: ErrorCode,
        realm: &Authenticator,
        unix: u64,
        out: &mut [u8],
    ) -> Reply {
        let nonce = realm.mint(self.to.client, unix);
        let mut challenge = |reason| {
            self.write(Class::ErrorResponse, Some(code), out, |writer| {
                writer
                    .put(&ErrorCodeAttribute { code, reason })?
                    .put(&Realm(realm.realm()))?
                    .put(&Nonce(nonce.as_str()))?;
                realm
                    .offers()
                    .password_algorithms()
                    .map_or(Ok(()), |algorithms| writer.put(&algorithms).map(drop))
            })
        };
        let verdict = match challenge(code.reason()) {
            Reply::Respond(respond) if !self.is_modest(asked, respond.len) => challenge(""),
            verdict => verdict,
        };
        match verdict {
            // Deviation: RFC 8489 §9.2.4: a datagram that is shorter than any Allocate request, as
            // no client's first is, gets no 401 where the realm is so long that it
            // would break the same bound.
            Reply::Respond(respond)
                if asked < SHORTEST_ALLOCATE && !self.is_modest(asked, respond.len) =>
            {
                Reply::Discard(Discard::RateLimited)
            }
            verdict => verdict,
        }
    }

    /// Whether the response is short enough. On a connection it always is: that has proven its
    /// address.
    fn is_modest(&self, asked: usize, answered: usize) -> bool {
        self.to.transport.is_stream() || is_modest(self.to.client.is_ipv4(), asked, answered)
    }

    fn write(
        &self,
        class: Class,
        error: Option<ErrorCode>,
        out: &mut [u8],
        fill: impl FnOnce(&mut MessageWriter<'_>) -> Filled,
    ) -> Reply {
        let written = MessageWriter::answer(out, &self.header, class).and_then(|mut writer| {
            fill(&mut writer)?;
            if let Some((credential, protection)) = self.proven {
                if let (Some(software), Method::ALLOCATE | Method::REFRESH) =
                    (self.software, self.header.message_type.method)
                {
                    writer.put(&Software(software))?;
                }
                protect(&mut writer, credential, protection)?;
            }
            if self.fingerprint {
                writer.fingerprint()?;
            }
            Ok(writer.finish())
        });
        match written {
            Ok(len) => Reply::Respond(Respond {
                to: self.to,
                len,
                method: self.header.message_type.method,
                error,
                refusal: None,
            }),
            Err(_) => Reply::Discard(Discard::NoSpace),
        }
    }
}

/// "Any response generated by the server MUST include the MESSAGE-INTEGRITY-SHA256 attribute …
/// unless the request was processed as though PASSWORD-ALGORITHM was MD5 … In that case, the
/// MESSAGE-INTEGRITY attribute MUST be used instead" (RFC 8489 §9.2.4).
fn protect(
    writer: &mut MessageWriter<'_>,
    credential: &Credential,
    protection: Protection,
) -> Filled {
    let key =
        credential.integrity(protection.algorithm()).expect("the key that has proven the request");
    match protection {
        Protection::Unnamed => writer.integrity(key)?,
        Protection::Named(_) => writer.integrity_sha256(key)?,
    };
    Ok(())
}

/// Writes the attributes of an Allocate success response (RFC 8656 §7.2), first or repeated.
pub(crate) fn allocated<G>(
    allocations: &Allocations<G>,
    id: AllocationId,
    lifetime: u32,
    writer: &mut MessageWriter<'_>,
) -> Filled {
    let (Some(allocation), Some(cold), Some(five_tuple)) =
        (allocations.get(id), allocations.cold(id), allocations.five_tuple(id))
    else {
        return Ok(());
    };
    for relay in allocation.relays.bound().filter_map(|index| allocations.relayed(id, index)) {
        writer.put(&XorRelayedAddress(relay.advertised.0))?;
    }
    for (family, failure) in allocation.relays.refused() {
        let code = ErrorCode::from(failure);
        writer.put(&AddressErrorCode { family, code, reason: code.reason() })?;
    }
    writer.put(&Lifetime(lifetime))?;
    if let Some(token) = cold.reservation {
        writer.put(&ReservationToken(token))?;
    }
    writer.put(&XorMappedAddress(five_tuple.client))?;
    Ok(())
}

/// The value of LIFETIME: the seconds left, rounded up, so that a lifetime that was just granted is
/// reported in full.
pub(crate) fn seconds(lifetime: Duration) -> u32 {
    u32::try_from(lifetime.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

impl From<BindFailure> for ErrorCode {
    fn from(failure: BindFailure) -> Self {
        match failure {
            BindFailure::Capacity => Self::INSUFFICIENT_CAPACITY,
            BindFailure::Family => Self::ADDRESS_FAMILY_NOT_SUPPORTED,
        }
    }
}
