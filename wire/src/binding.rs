//! The Binding decision: what `stund` and `turnd` answer to a Binding request (RFC 8489 §6.3.1; RFC 5780 §6.1).

use std::net::SocketAddr;

use crate::attribute::{
    AttributeType, ChangeRequest, ErrorCodeAttribute, MappedAddress, OtherAddress, ResponseOrigin, UnknownAttributes, XorMappedAddress,
};
use crate::{Class, EncodeError, ErrorCode, Message, MessageWriter, Method};

/// A Binding answer is never longer: four IPv6 addresses, or an error with its list, and FINGERPRINT.
pub const MAX_ANSWER_LEN: usize = 160;

/// What a server says of its own addresses in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// RFC 8489's Binding usage: XOR-MAPPED-ADDRESS alone.
    Binding,
    /// RFC 5780's NAT behaviour discovery, by a server that received the request on `local` (Da:Dp).
    NatDiscovery {
        /// The transport address on which the request was received.
        local: SocketAddr,
        /// Ca:Cp, the address of which both parts differ; `None` when the server has no second address.
        other: Option<SocketAddr>,
        /// Whether this answer may be sent from another address than `local`: over UDP, not over a connection.
        can_change: bool,
    },
}

/// An answer that stands in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Answer {
    /// Its length in bytes.
    pub len: usize,
    /// The address to send it from: `None` is the one that the request was received on.
    pub from: Option<SocketAddr>,
    /// The error that it carries; `None` is success.
    pub error: Option<ErrorCode>,
}

/// Why nothing is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Not a Binding request.
    NotBindingRequest,
    /// Without the magic cookie.
    Rfc3489,
    /// FINGERPRINT is there and wrong (H28).
    Fingerprint,
    /// The buffer is too small for the answer.
    NoSpace,
}

impl From<EncodeError> for Silence {
    fn from(_: EncodeError) -> Self {
        Self::NoSpace
    }
}

/// Decides on one message that came from `source` and writes the answer to `out`, of which [`MAX_ANSWER_LEN`] bytes are enough.
///
/// # Errors
/// [`Silence`] where the RFC asks for it.
pub fn answer(request: &Message<'_>, source: SocketAddr, usage: Usage, out: &mut [u8]) -> Result<Answer, Silence> {
    if request.class() != Class::Request || request.method() != Method::BINDING {
        return Err(Silence::NotBindingRequest);
    }
    if request.is_rfc3489() {
        return Err(Silence::Rfc3489);
    }
    if request.fingerprint() == Some(false) {
        return Err(Silence::Fingerprint);
    }
    // RFC 5780 §6.1: without an alternate address, CHANGE-REQUEST is 420.
    let knows_change = matches!(usage, Usage::NatDiscovery { other: Some(_), can_change: true, .. });
    let unknown = request.unknown_required(|kind| is_known(kind) || (knows_change && kind == AttributeType::CHANGE_REQUEST));
    if !unknown.is_empty() {
        return error(request, ErrorCode::UNKNOWN_ATTRIBUTE, unknown.kinds(), out);
    }
    let change = match request.attribute::<ChangeRequest>() {
        Ok(change) => change.unwrap_or_default(),
        Err(_) => return error(request, ErrorCode::BAD_REQUEST, &[], out),
    };
    success(request, source, usage, change, out)
}

fn success(request: &Message<'_>, source: SocketAddr, usage: Usage, change: ChangeRequest, out: &mut [u8]) -> Result<Answer, Silence> {
    let mut writer = MessageWriter::answer(out, request.header(), Class::SuccessResponse)?;
    writer.put(&XorMappedAddress(source))?;
    let mut from = None;
    if let Usage::NatDiscovery { local, other, .. } = usage {
        from = other.and_then(|other| changed_origin(local, other, change));
        writer.put(&MappedAddress(source))?.put(&ResponseOrigin(from.unwrap_or(local)))?;
        if let Some(other) = other {
            writer.put(&OtherAddress(other))?;
        }
    }
    Ok(Answer { len: finish(writer, request)?, from, error: None })
}

/// RFC 5780 §6.1, table 1.
fn changed_origin(local: SocketAddr, other: SocketAddr, change: ChangeRequest) -> Option<SocketAddr> {
    match (change.change_ip, change.change_port) {
        (false, false) => None,
        (true, false) => Some(SocketAddr::new(other.ip(), local.port())),
        (false, true) => Some(SocketAddr::new(local.ip(), other.port())),
        (true, true) => Some(other),
    }
}

fn error(request: &Message<'_>, code: ErrorCode, unknown: &[u16], out: &mut [u8]) -> Result<Answer, Silence> {
    let mut writer = MessageWriter::answer(out, request.header(), Class::ErrorResponse)?;
    writer.put(&ErrorCodeAttribute::new(code))?;
    if !unknown.is_empty() {
        writer.put(&UnknownAttributes::Kinds(unknown))?;
    }
    Ok(Answer { len: finish(writer, request)?, from: None, error: Some(code) })
}

/// A client that uses FINGERPRINT finds it in the answer too (RFC 8489 §7).
fn finish(mut writer: MessageWriter<'_>, request: &Message<'_>) -> Result<usize, Silence> {
    if request.fingerprint().is_some() {
        writer.fingerprint()?;
    }
    Ok(writer.finish())
}

/// What a Binding request may carry: "Known-but-unexpected attributes SHOULD be ignored" (RFC 8489 §6.3). RESPONSE-PORT and PADDING are not
/// built yet, and so are unknown.
fn is_known(kind: AttributeType) -> bool {
    use AttributeType as T;
    let of_the_usage = matches!(kind, T::PRIORITY | T::USE_CANDIDATE);
    of_the_usage || kind.is_known_to_every_agent()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TransactionId;
    use crate::attribute::Padding;

    const SOURCE: &str = "192.0.2.1:5000";
    const LOCAL: &str = "203.0.113.1:3478";
    const OTHER: &str = "203.0.113.2:3479";

    fn discovery(other: Option<&str>) -> Usage {
        Usage::NatDiscovery { local: LOCAL.parse().unwrap(), other: other.map(|o| o.parse().unwrap()), can_change: true }
    }

    fn ask(usage: Usage, fill: impl FnOnce(&mut MessageWriter<'_>)) -> (Answer, Vec<u8>) {
        let mut buffer = [0; 2048];
        let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId([7; 12])).unwrap();
        fill(&mut writer);
        let len = writer.finish();
        let mut out = vec![0; MAX_ANSWER_LEN];
        let answered = answer(&Message::decode(&buffer[..len]).unwrap(), SOURCE.parse().unwrap(), usage, &mut out).unwrap();
        out.truncate(answered.len);
        (answered, out)
    }

    #[test]
    fn rfc8489_6_3_1_the_source_is_told() {
        let (answer, bytes) = ask(Usage::Binding, |_| {});
        let message = Message::decode(&bytes).unwrap();
        assert_eq!((message.class(), message.transaction_id()), (Class::SuccessResponse, TransactionId([7; 12])));
        assert_eq!(message.attribute::<XorMappedAddress>().unwrap().unwrap().0, SOURCE.parse().unwrap());
        assert_eq!((message.attributes().count(), answer.from), (1, None));
    }

    #[test]
    fn rfc5780_6_1_table_1_all_four_origins() {
        for (change_ip, change_port, from) in
            [(false, false, LOCAL), (true, false, "203.0.113.2:3478"), (false, true, "203.0.113.1:3479"), (true, true, OTHER)]
        {
            let (answer, bytes) = ask(discovery(Some(OTHER)), |w| {
                w.put(&ChangeRequest { change_ip, change_port }).unwrap();
            });
            let message = Message::decode(&bytes).unwrap();
            let from: SocketAddr = from.parse().unwrap();
            assert_eq!(answer.from.unwrap_or(LOCAL.parse().unwrap()), from);
            assert_eq!(message.attribute::<ResponseOrigin>().unwrap().unwrap().0, from);
            assert_eq!(message.attribute::<OtherAddress>().unwrap().unwrap().0, OTHER.parse().unwrap());
            assert_eq!(message.attribute::<MappedAddress>().unwrap().unwrap().0, SOURCE.parse().unwrap());
        }
    }

    #[test]
    fn rfc5780_6_1_change_request_without_a_second_address_is_420() {
        let (answer, bytes) = ask(discovery(None), |w| {
            w.put(&ChangeRequest::default()).unwrap();
        });
        assert_eq!(answer.error, Some(ErrorCode::UNKNOWN_ATTRIBUTE));
        let message = Message::decode(&bytes).unwrap();
        let unknown: Vec<_> = message.attribute::<UnknownAttributes<'_>>().unwrap().unwrap().kinds().collect();
        assert_eq!(unknown, [AttributeType::CHANGE_REQUEST]);
        assert!(!message.has(AttributeType::OTHER_ADDRESS));
    }

    #[test]
    fn h17_padding_is_not_answered_with_padding() {
        let (answer, bytes) = ask(discovery(Some(OTHER)), |w| {
            w.put(&Padding(1200)).unwrap();
        });
        assert_eq!(answer.error, Some(ErrorCode::UNKNOWN_ATTRIBUTE));
        assert!(bytes.len() < 100);
    }

    #[test]
    fn h28_a_wrong_fingerprint_is_answered_with_silence() {
        let mut buffer = [0; 64];
        let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId([1; 12])).unwrap();
        writer.fingerprint().unwrap();
        let len = writer.finish();
        let mut out = [0; MAX_ANSWER_LEN];
        let mut ask = |bytes: &[u8]| answer(&Message::decode(bytes).unwrap(), SOURCE.parse().unwrap(), Usage::Binding, &mut out);
        let good = ask(&buffer[..len]).unwrap();
        assert_eq!(good.len, 20 + 12 + 8, "answered with FINGERPRINT");
        buffer[len - 1] ^= 1;
        assert_eq!(ask(&buffer[..len]), Err(Silence::Fingerprint));
    }
}
