//! Evaluation of a response: accept it, try again, or fail, in the order of RFC 8489.

use std::sync::Arc;

use causeway_wire::attribute::{
    AlternateDomain, AlternateServer, AttributeType, ErrorCodeAttribute, UnknownAttributes,
};
use causeway_wire::{Class, ErrorCode, Message};

use super::challenge::is_bid_down;
use super::{Challenge, Open, Request};
use crate::credentials::Credentials;
use crate::failure::{Alternate, Failure, Refusal};

/// The result of evaluating a response to a request.
#[derive(Debug)]
pub(crate) enum Evaluation {
    /// The response is accepted.
    Accept,
    /// The request fails.
    Fail(Failure),
    /// The server requires credentials, or fresh ones; with the error to report after too many
    /// challenges.
    Challenged(Arc<Challenge>, Refusal),
    /// The server may succeed later; with the error to report after too many attempts.
    ServerError(Refusal),
    /// The integrity is missing or wrong: the response is ignored, but that is remembered.
    Unauthentic,
    /// The response is ignored.
    Ignore,
}

/// Evaluates a response in the order of RFC 8489 §9.2.5, then by RFC 8489 §6.3.3 and §6.3.4.
pub(crate) fn evaluate<A: Request>(
    open: &Open<A>,
    message: &Message<'_>,
    credentials: Option<&Credentials>,
) -> Evaluation {
    let error = match message.class() {
        Class::ErrorResponse => message.attribute::<ErrorCodeAttribute<'_>>().ok().flatten(),
        _ => None,
    };
    let code = error.map(|error| error.code);
    if let Some(code @ (ErrorCode::UNAUTHENTICATED | ErrorCode::STALE_NONCE)) = code {
        return challenged(open, message, credentials, code);
    }
    if is_bid_down(message) {
        return Evaluation::Ignore;
    }
    // "If the response is an error response with an error code of 400 (Bad Request) and does not
    // contain either the MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 attribute, then the
    // response MUST be discarded": also before the first challenge, once credentials are used.
    let protected = message.has_integrity() || message.has_integrity_sha256();
    if credentials.is_some() && code == Some(ErrorCode::BAD_REQUEST) && !protected {
        return Evaluation::Unauthentic;
    }
    let verified = open.challenge.as_ref().map(|challenge| challenge.verifies(message));
    if verified == Some(false) {
        return Evaluation::Unauthentic;
    }
    if !message.unknown_required(is_known).is_empty() {
        return Evaluation::Fail(Failure::Malformed);
    }
    match (message.class(), error) {
        (Class::SuccessResponse, _) => Evaluation::Accept,
        (_, None) => Evaluation::Fail(Failure::Malformed),
        // 508 has its own rule: wait at least a minute (RFC 8656 §7.4).
        (_, Some(error))
            if (500..600).contains(&error.code.number())
                && error.code != ErrorCode::INSUFFICIENT_CAPACITY =>
        {
            Evaluation::ServerError(refusal(message, error.code))
        }
        (_, Some(error)) => {
            let alternate =
                if verified == Some(true) { alternate(message, error.code) } else { None };
            Evaluation::Fail(Failure::Refused(Refusal {
                alternate,
                ..refusal(message, error.code)
            }))
        }
    }
}

/// Evaluates 401 and 438, which carry no integrity (RFC 8489 §9.2.4).
fn challenged<A: Request>(
    open: &Open<A>,
    message: &Message<'_>,
    credentials: Option<&Credentials>,
    code: ErrorCode,
) -> Evaluation {
    let refusal = refusal(message, code);
    let Some(credentials) = credentials else { return Evaluation::Fail(Failure::Refused(refusal)) };
    let before = open.challenge.as_deref();
    match Challenge::read(message, credentials, before) {
        // A challenge without a realm or a nonce cannot be answered, so the error itself is
        // reported.
        Err(Failure::Malformed) => Evaluation::Fail(Failure::Refused(refusal)),
        Err(failure) => Evaluation::Fail(failure),
        Ok(challenge) => match before {
            Some(before)
                if code == ErrorCode::UNAUTHENTICATED && !challenge.differs_in_realm(before) =>
            {
                Evaluation::Fail(Failure::Refused(refusal))
            }
            _ => Evaluation::Challenged(Arc::new(challenge), refusal),
        },
    }
}

/// Reads the alternate server (RFC 8489 §10). A domain that is not a name of ASCII letters is
/// ignored.
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

/// Whether the client knows an attribute: "Known-but-unexpected attributes SHOULD be ignored" (RFC
/// 8489 §6.3).
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
