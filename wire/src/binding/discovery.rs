//! NAT behaviour discovery: the additional requests that a Binding request can make, and the
//! additional answers (RFC 5780 §6.1).

use std::net::SocketAddr;

use super::{Received, Silence, Usage};
use crate::attribute::{
    AttributeType, ChangeRequest, MappedAddress, OtherAddress, Padding, ResponseOrigin,
    ResponsePort,
};
use crate::{ErrorCode, Message, MessageWriter, Transport};

/// Maximum length of PADDING in an answer, in bytes: the MTU of Ethernet, a multiple of four.
pub const MAX_PADDING: usize = 1_500;

/// Length of the type and length of an attribute, in bytes.
const ATTRIBUTE_HEADER_LEN: usize = 4;
/// Length of FINGERPRINT with its header, in bytes.
const FINGERPRINT_LEN: usize = 8;

/// The attributes of RFC 5780 that this server knows in a request. Those that cannot work on a
/// connection (RFC 5780 §3: "STUN forbids a server from creating a new TCP or TCP/TLS connection to
/// the client") are as unknown there as on a server without a second address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Whether the server has a second address.
    discovery: bool,
    /// Whether an answer can leave from another address or go to another port: over UDP.
    datagram: bool,
    /// Whether the request has a CHANGE-REQUEST that asks for no change.
    changes_nothing: bool,
}

impl Known {
    // Deviation: RFC 5780 §6.1: CHANGE-REQUEST without a flag requests nothing, so a server without
    // an alternate address, or on a connection, answers as if it were absent; 420 remains for flags
    // that are set. miniupnpd 2.3.1 begins with such a request and gives up after a 420, which
    // leaves its router without UPnP.
    pub(super) fn of(request: &Message<'_>, usage: Usage, over: Transport) -> Self {
        Self {
            discovery: usage.other().is_some(),
            datagram: over == Transport::Udp,
            changes_nothing: request.attribute::<ChangeRequest>()
                == Ok(Some(ChangeRequest::default())),
        }
    }

    /// Whether the server knows an attribute of this type in the request.
    pub(super) fn has(self, kind: AttributeType) -> bool {
        match kind {
            AttributeType::PADDING => self.discovery,
            AttributeType::RESPONSE_PORT => self.discovery && self.datagram,
            AttributeType::CHANGE_REQUEST => {
                self.discovery && self.datagram || self.changes_nothing
            }
            _ => false,
        }
    }
}

/// The additional requests of a Binding request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    change: ChangeRequest,
    pub(super) response_port: Option<u16>,
    pub(super) padding: bool,
}

impl Wishes {
    /// Reads them from a request whose attributes are all known.
    ///
    /// # Errors
    /// The error code to answer with.
    pub(super) fn read(request: &Message<'_>) -> Result<Self, ErrorCode> {
        let change = request.attribute::<ChangeRequest>().map_err(|_| ErrorCode::BAD_REQUEST)?;
        let response_port =
            request.attribute::<ResponsePort>().map_err(|_| ErrorCode::BAD_REQUEST)?;
        let wishes = Self {
            change: change.unwrap_or_default(),
            response_port: response_port.map(|port| port.0),
            padding: request.has(AttributeType::PADDING),
        };
        // "The server MUST NOT process a request containing a RESPONSE-PORT and a PADDING
        // attribute" (RFC 5780 §7.5). No datagram has port 0 as its destination (H7).
        let is_bad = wishes.response_port.is_some_and(|port| wishes.padding || port == 0);
        if is_bad { Err(ErrorCode::BAD_REQUEST) } else { Ok(wishes) }
    }
}

/// Writes the attributes that RFC 5780 adds to a success response. Returns the address to send
/// from, if it is not the one that received the request.
pub(super) fn put(
    writer: &mut MessageWriter<'_>,
    request: &Message<'_>,
    received: &Received,
    other: SocketAddr,
    wishes: &Wishes,
) -> Result<Option<SocketAddr>, Silence> {
    let from = changed_origin(received.local, other, wishes.change);
    writer.put(&MappedAddress(received.source))?;
    writer.put(&ResponseOrigin(from.unwrap_or(received.local)))?;
    writer.put(&OtherAddress(other))?;
    if wishes.padding {
        writer.put(&Padding(padding_len(writer.written(), request)))?;
    }
    Ok(from)
}

/// The address to send from by RFC 5780 §6.1, table 1 (the same as RFC 3489 §8.1, table 1). `None`
/// is the address that received the request.
pub(super) fn changed_origin(
    local: SocketAddr,
    other: SocketAddr,
    change: ChangeRequest,
) -> Option<SocketAddr> {
    match (change.change_ip, change.change_port) {
        (false, false) => None,
        (true, false) => Some(SocketAddr::new(other.ip(), local.port())),
        (false, true) => Some(SocketAddr::new(local.ip(), other.port())),
        (true, true) => Some(other),
    }
}

// Deviation: RFC 5780 §6.1: PADDING ends where the answer becomes as long as its request; otherwise
// the server would amplify for a reflection attack (H17).
fn padding_len(written: usize, request: &Message<'_>) -> usize {
    let fingerprint = if request.fingerprint().is_some() { FINGERPRINT_LEN } else { 0 };
    let room =
        request.as_bytes().len().saturating_sub(written + ATTRIBUTE_HEADER_LEN + fingerprint);
    // A message is a multiple of four bytes long, and so are the parts of this one.
    room.min(MAX_PADDING)
}
