use std::sync::Arc;

use causeway_wire::attribute::{
    AlternateDomain, AlternateServer, AttributeType, ErrorCodeAttribute, UnknownAttributes,
};
use causeway_wire::{Class, ErrorCode, Message};

use super::challenge::is_bid_down;
use super::{Ask, Challenge, Open};
use crate::credentials::Credentials;
use crate::failure::{Alternate, Failure, Refusal};

/// What an answer means for the request that it belongs to.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// It is the answer.
    Accept,
    /// It ends the request.
    Fail(Failure),
    /// The server wants credentials, or fresh ones; the error, should that have gone on for too
    /// long.
    Challenged(Arc<Challenge>, Refusal),
    /// The server may do better in a while; the error, should that have gone on for too long.
    ServerError(Refusal),
    /// Its integrity is missing or wrong: as if it had never come, though that is remembered.
    Unauthentic,
    /// As if it had never come.
    Ignore,
}

/// Judges an answer in the order of RFC 8489 §9.2.5, then by RFC 8489 §6.3.3 and §6.3.4.
pub(crate) fn judge<A: Ask>(
    open: &Open<A>,
    message: &Message<'_>,
    credentials: Option<&Credentials>,
) -> Judgement {
    let error = match message.class() {
        Class::ErrorResponse => message.attribute::<ErrorCodeAttribute<'_>>().ok().flatten(),
        _ => None,
    };
    let code = error.map(|error| error.code);
    if let Some(code @ (ErrorCode::UNAUTHENTICATED | ErrorCode::STALE_NONCE)) = code {
        return challenged(open, message, credentials, code);
    }
    if is_bid_down(message) {
        return Judgement::Ignore;
    }
    // "If the response is an error response with an error code of 400 (Bad Request) and does not
    // contain either the MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 attribute, then the
    // response MUST be discarded": also before the first challenge, once credentials are used.
    let protected = message.has_integrity() || message.has_integrity_sha256();
    if credentials.is_some() && code == Some(ErrorCode::BAD_REQUEST) && !protected {
        return Judgement::Unauthentic;
    }
    let verified = open.challenge.as_ref().map(|challenge| challenge.verifies(message));
    if verified == Some(false) {
        return Judgement::Unauthentic;
    }
    if !message.unknown_required(is_known).is_empty() {
        return Judgement::Fail(Failure::Malformed);
    }
    match (message.class(), error) {
        (Class::SuccessResponse, _) => Judgement::Accept,
        (_, None) => Judgement::Fail(Failure::Malformed),
        // 508 says what to do: wait at least a minute (RFC 8656 §7.4).
        (_, Some(error))
            if (500..600).contains(&error.code.number())
                && error.code != ErrorCode::INSUFFICIENT_CAPACITY =>
        {
            Judgement::ServerError(refusal(message, error.code))
        }
        (_, Some(error)) => {
            let alternate =
                if verified == Some(true) { alternate(message, error.code) } else { None };
            Judgement::Fail(Failure::Refused(Refusal { alternate, ..refusal(message, error.code) }))
        }
    }
}

/// 401 and 438, which carry no integrity (RFC 8489 §9.2.4).
fn challenged<A: Ask>(
    open: &Open<A>,
    message: &Message<'_>,
    credentials: Option<&Credentials>,
    code: ErrorCode,
) -> Judgement {
    let refusal = refusal(message, code);
    let Some(credentials) = credentials else { return Judgement::Fail(Failure::Refused(refusal)) };
    let before = open.challenge.as_deref();
    match Challenge::read(message, credentials, before) {
        // Without a realm or a nonce there is nothing to answer with: the error itself is the news.
        Err(Failure::Malformed) => Judgement::Fail(Failure::Refused(refusal)),
        Err(failure) => Judgement::Fail(failure),
        Ok(challenge) => match before {
            Some(before)
                if code == ErrorCode::UNAUTHENTICATED && !challenge.differs_in_realm(before) =>
            {
                Judgement::Fail(Failure::Refused(refusal))
            }
            _ => Judgement::Challenged(Arc::new(challenge), refusal),
        },
    }
}

/// RFC 8489 §10. The domain is to be a name of ASCII letters: anything else is as if it were not
/// there.
fn alternate(message: &Message<'_>, code: ErrorCode) -> Option<Alternate> {
    let server = message
        .all::<AlternateServer>()
        .find_map(Result::ok)
        .filter(|_| code == ErrorCode::TRY_ALTERNATE)?
        .0;
    let domain = message.attribute::<AlternateDomain<'_>>().ok().flatten().map(|domain| domain.0);
    let is_name = |domain: &&str| {
        !domain.is_empty()
            && domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    Some(Alternate { server, domain: domain.filter(is_name).map(str::to_owned) })
}

fn refusal(message: &Message<'_>, code: ErrorCode) -> Refusal {
    let reason = message
        .attribute::<ErrorCodeAttribute<'_>>()
        .ok()
        .flatten()
        .map_or("", |error| error.reason);
    let unknown = message.attribute::<UnknownAttributes<'_>>().ok().flatten();
    Refusal {
        code,
        reason: reason.chars().filter(|letter| !letter.is_control()).collect(),
        alternate: None,
        unknown: unknown.map(|list| list.kinds().take(16).collect()).unwrap_or_default(),
    }
}

/// What this client understands. "Known-but-unexpected attributes SHOULD be ignored" (RFC 8489
/// §6.3).
pub(crate) fn is_known(kind: AttributeType) -> bool {
    use AttributeType as T;
    matches!(
        kind,
        T::MAPPED_ADDRESS
            | T::RESPONSE_ADDRESS
            | T::CHANGE_REQUEST
            | T::SOURCE_ADDRESS
            | T::CHANGED_ADDRESS
            | T::USERNAME
            | T::USERHASH
            | T::ERROR_CODE
            | T::UNKNOWN_ATTRIBUTES
            | T::CHANNEL_NUMBER
            | T::LIFETIME
            | T::XOR_PEER_ADDRESS
            | T::DATA
            | T::REALM
            | T::NONCE
            | T::XOR_RELAYED_ADDRESS
            | T::REQUESTED_ADDRESS_FAMILY
            | T::EVEN_PORT
            | T::REQUESTED_TRANSPORT
            | T::DONT_FRAGMENT
            | T::PASSWORD_ALGORITHM
            | T::XOR_MAPPED_ADDRESS
            | T::RESERVATION_TOKEN
            | T::PADDING
            | T::RESPONSE_PORT
    )
}
