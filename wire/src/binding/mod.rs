//! The Binding decision: what `stund` and `turnd` answer to a Binding request (RFC 8489 §6.3.1; RFC
//! 5780 §6.1; RFC 3489 §8.1).

mod classic;
mod discovery;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use crate::attribute::{AttributeType, ErrorCodeAttribute, UnknownAttributes, XorMappedAddress};
use crate::{Class, EncodeError, ErrorCode, Message, MessageWriter, Method, Transport};

pub use discovery::MAX_PADDING;

use discovery::{Known, Wishes};

/// Maximum length of an answer without PADDING, in bytes: four IPv6 addresses, or an error with its
/// list, and FINGERPRINT.
pub const MAX_PLAIN_ANSWER_LEN: usize = 160;

/// Maximum length of any answer, in bytes.
pub const MAX_ANSWER_LEN: usize = MAX_PLAIN_ANSWER_LEN + 4 + MAX_PADDING;

/// The attributes about its own addresses that a server sends to a client of RFC 8489. A client of
/// RFC 3489 always gets the source of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// RFC 8489's Binding usage: XOR-MAPPED-ADDRESS alone.
    Binding,
    /// RFC 5780's NAT behaviour discovery, by a server with four endpoints.
    NatDiscovery {
        /// Ca:Cp: differs in both address and port from the address that received the request.
        other: SocketAddr,
    },
}

impl Usage {
    /// The server's other address and port.
    fn other(self) -> Option<SocketAddr> {
        match self {
            Self::Binding => None,
            Self::NatDiscovery { other } => Some(other),
        }
    }
}

/// How a request was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The client's address as the server sees it.
    pub source: SocketAddr,
    /// Da:Dp, the server's transport address that the client sent the request to.
    pub local: SocketAddr,
    /// The transport that carried the request.
    pub over: Transport,
}

/// An answer in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Answer {
    /// Length of the answer in bytes.
    pub len: usize,
    /// The address to send it from; `None` for the one that received the request.
    pub from: Option<SocketAddr>,
    /// The port of the source's address to send it to; `None` for the source's own port.
    pub to_port: Option<u16>,
    /// The error code in the answer; `None` for success.
    pub error: Option<ErrorCode>,
    /// Whether it has PADDING: it must be sent without the don't-fragment bit, because it tests
    /// whether fragments pass (RFC 5780 §7.6).
    pub padded: bool,
}

/// Why the server stays silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Not a Binding request.
    NotBindingRequest,
    /// FINGERPRINT is present and wrong (H28).
    Fingerprint,
    /// The buffer is too small for the answer.
    NoSpace,
}

impl From<EncodeError> for Silence {
    fn from(_: EncodeError) -> Self {
        Self::NoSpace
    }
}

/// Decides on one message and writes the answer to `out`. [`MAX_ANSWER_LEN`] bytes are always
/// enough, [`MAX_PLAIN_ANSWER_LEN`] for [`Usage::Binding`].
///
/// An answer goes to the source's address only; only its port can be another (H17).
///
/// # Errors
/// [`Silence`] where the RFC requires no answer.
pub fn answer(
    request: &Message<'_>,
    received: &Received,
    usage: Usage,
    out: &mut [u8],
) -> Result<Answer, Silence> {
    if request.class() != Class::Request {
        return Err(Silence::NotBindingRequest);
    }
    if request.fingerprint() == Some(false) {
        return Err(Silence::Fingerprint);
    }
    if request.is_rfc3489() {
        return classic::answer(request, received, usage.other(), out);
    }
    if request.method() != Method::BINDING {
        return Err(Silence::NotBindingRequest);
    }
    let known = Known::of(request, usage, received.over);
    let unknown = request.unknown_required(|kind| is_known(kind) || known.has(kind));
    if !unknown.is_empty() {
        return error(request, ErrorCode::UNKNOWN_ATTRIBUTE, unknown.kinds(), out);
    }
    match Wishes::read(request) {
        Ok(wishes) => success(request, received, usage, &wishes, out),
        Err(code) => error(request, code, &[], out),
    }
}

fn success(
    request: &Message<'_>,
    received: &Received,
    usage: Usage,
    wishes: &Wishes,
    out: &mut [u8],
) -> Result<Answer, Silence> {
    let mut writer = MessageWriter::answer(out, request.header(), Class::SuccessResponse)?;
    writer.put(&XorMappedAddress(received.source))?;
    let from = match usage {
        Usage::Binding => None,
        Usage::NatDiscovery { other } => {
            discovery::put(&mut writer, request, received, other, wishes)?
        }
    };
    Ok(Answer {
        len: finish(writer, request)?,
        from,
        to_port: wishes.response_port,
        error: None,
        padded: wishes.padding,
    })
}

fn error(
    request: &Message<'_>,
    code: ErrorCode,
    unknown: &[u16],
    out: &mut [u8],
) -> Result<Answer, Silence> {
    let mut writer = MessageWriter::answer(out, request.header(), Class::ErrorResponse)?;
    writer.put(&ErrorCodeAttribute::new(code))?;
    if !unknown.is_empty() {
        writer.put(&UnknownAttributes::Kinds(unknown))?;
    }
    Ok(Answer {
        len: finish(writer, request)?,
        from: None,
        to_port: None,
        error: Some(code),
        padded: false,
    })
}

/// A request with FINGERPRINT gets an answer with FINGERPRINT (RFC 8489 §7).
fn finish(mut writer: MessageWriter<'_>, request: &Message<'_>) -> Result<usize, Silence> {
    if request.fingerprint().is_some() {
        writer.fingerprint()?;
    }
    Ok(writer.finish())
}

/// Whether the server knows an attribute in a Binding request: "Known-but-unexpected attributes
/// SHOULD be ignored" (RFC 8489 §6.3).
fn is_known(kind: AttributeType) -> bool {
    use AttributeType as T;
    let of_the_usage = matches!(kind, T::PRIORITY | T::USE_CANDIDATE);
    of_the_usage || kind.is_known_to_every_agent()
}
