//! Answers to clients of RFC 3489, "classic STUN": no magic cookie, MAPPED-ADDRESS in the clear,
//! and errors and lists padded differently.

use std::net::SocketAddr;

use super::discovery::changed_origin;
use super::{Answer, Received, Silence};
use crate::attribute::{
    AttributeType, ChangeRequest, ChangedAddress, ErrorCodeAttribute, MappedAddress, SourceAddress,
    UnknownAttributes,
};
use crate::{Class, ErrorCode, Message, MessageWriter, Method, Transport, UnknownRequired};

// Deviation: RFC 5780 §3: a server of NAT behaviour discovery answers clients of RFC 3489, too: RFC
// 8489 §12 requires it of a stand-alone server, and old SIP phones still ask.

/// Answers a request without the magic cookie. `other` is the server's other address and port, if
/// it has one.
pub(super) fn answer(
    request: &Message<'_>,
    received: &Received,
    other: Option<SocketAddr>,
    out: &mut [u8],
) -> Result<Answer, Silence> {
    // "Any STUN request or indication without the magic cookie … over DTLS MUST be considered
    // invalid: all requests MUST generate a 500 (Server Error) error response" (RFC 8489 §11).
    if received.over == Transport::Dtls {
        return error(request, ErrorCode::SERVER_ERROR, &[], out);
    }
    match request.method() {
        Method::BINDING => binding(request, received, other, out),
        Method::SHARED_SECRET => shared_secret(request, received, out),
        _ => Err(Silence::NotBindingRequest),
    }
}

/// The answer to a Binding request (RFC 3489 §8.1).
fn binding(
    request: &Message<'_>,
    received: &Received,
    other: Option<SocketAddr>,
    out: &mut [u8],
) -> Result<Answer, Silence> {
    // The server never hands out a shared secret, so it has none to compare.
    if request.has_integrity() {
        let has_username = request.has(AttributeType::USERNAME);
        let code =
            if has_username { ErrorCode::STALE_CREDENTIALS } else { ErrorCode::MISSING_USERNAME };
        return error(request, code, &[], out);
    }
    let change = request.attribute::<ChangeRequest>();
    let asks_for_a_change = change
        .is_ok_and(|change| change.is_some_and(|change| change.change_ip || change.change_port));
    // Clients of RFC 3489 always send CHANGE-REQUEST, mostly with both flags clear.
    let knows_change = !asks_for_a_change || (other.is_some() && received.over == Transport::Udp);
    // Deviation: RFC 3489 §8.1: RESPONSE-ADDRESS gets 420, as an unknown attribute: with it, any
    // client could direct our answers to any address (H17).
    let unknown = request.unknown_required(|kind| {
        is_known(kind) || (knows_change && kind == AttributeType::CHANGE_REQUEST)
    });
    if !unknown.is_empty() {
        return error(request, ErrorCode::UNKNOWN_ATTRIBUTE, unknown.kinds(), out);
    }
    let Ok(change) = change else { return error(request, ErrorCode::BAD_REQUEST, &[], out) };
    let from =
        other.and_then(|other| changed_origin(received.local, other, change.unwrap_or_default()));
    let mut writer = MessageWriter::answer(out, request.header(), Class::SuccessResponse)?;
    writer
        .put(&MappedAddress(received.source))?
        .put(&SourceAddress(from.unwrap_or(received.local)))?;
    // Deviation: RFC 3489 §8.1: a server without a second address sends no CHANGED-ADDRESS, because
    // a made-up one would spoil the client's tests.
    if let Some(other) = other {
        writer.put(&ChangedAddress(other))?;
    }
    Ok(Answer { len: writer.finish(), from, to_port: None, error: None, padded: false })
}

/// The answer to a Shared Secret request (RFC 3489 §8.2).
// Deviation: RFC 3489 §8.2: no shared secret is handed out, not even over TLS: "It SHOULD NOT
// utilize the short-term or long-term credential mechanism" (RFC 8489 §12).
fn shared_secret(
    request: &Message<'_>,
    received: &Received,
    out: &mut [u8],
) -> Result<Answer, Silence> {
    if received.over != Transport::Tls {
        return error(request, ErrorCode::USE_TLS, &[], out);
    }
    let unknown =
        request.unknown_required(|kind| is_known(kind) || kind == AttributeType::CHANGE_REQUEST);
    let code =
        if unknown.is_empty() { ErrorCode::GLOBAL_FAILURE } else { ErrorCode::UNKNOWN_ATTRIBUTE };
    error(request, code, unknown.kinds(), out)
}

/// "Any attributes that are known, but are not supposed to be present in a message (MAPPED-ADDRESS
/// in a request, for example) MUST be ignored" (RFC 3489 §11.2).
fn is_known(kind: AttributeType) -> bool {
    use AttributeType as T;
    matches!(
        kind,
        T::MAPPED_ADDRESS
            | T::SOURCE_ADDRESS
            | T::CHANGED_ADDRESS
            | T::USERNAME
            | T::PASSWORD
            | T::ERROR_CODE
            | T::UNKNOWN_ATTRIBUTES
            | T::REFLECTED_FROM
    )
}

fn error(
    request: &Message<'_>,
    code: ErrorCode,
    unknown: &[u16],
    out: &mut [u8],
) -> Result<Answer, Silence> {
    let mut writer = MessageWriter::answer(out, request.header(), Class::ErrorResponse)?;
    writer.put(&ErrorCodeAttribute { code, reason: padded_reason(code) })?;
    if let Some(&last) = unknown.last() {
        // "If the number of unknown attributes is an odd number, one of the attributes MUST be
        // repeated in the list" (RFC 3489 §11.2.10).
        let mut list = [last; UnknownRequired::MAX];
        list[..unknown.len()].copy_from_slice(unknown);
        writer.put(&UnknownAttributes::Kinds(&list[..unknown.len().next_multiple_of(2)]))?;
    }
    Ok(Answer { len: writer.finish(), from: None, to_port: None, error: Some(code), padded: false })
}

/// "The lengths of the reason phrases MUST be a multiple of 4 (measured in bytes). This can be
/// accomplished by added spaces to the end of the text" (RFC 3489 §11.2.9).
const fn padded_reason(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BAD_REQUEST => "Bad Request ",
        ErrorCode::UNKNOWN_ATTRIBUTE => "Unknown Attribute   ",
        ErrorCode::STALE_CREDENTIALS => "Stale Credentials   ",
        ErrorCode::MISSING_USERNAME => "Missing Username",
        ErrorCode::USE_TLS => "Use TLS ",
        ErrorCode::GLOBAL_FAILURE => "Global Failure  ",
        _ => "Server Error",
    }
}
