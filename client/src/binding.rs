//! Binding requests and their answers.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_wire::attribute::{
    ChangeRequest, ChangedAddress, MappedAddress, OtherAddress, Padding, ResponseOrigin,
    ResponsePort, Software, SourceAddress, XorMappedAddress,
};
use causeway_wire::{EncodeError, Message, MessageWriter, Method};

use crate::exchange::Request;

/// The id of a Binding request, unique within one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingId(pub(crate) u64);

/// The options of a Binding request; the default is RFC 8489's plain one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BindingRequest {
    /// CHANGE-REQUEST: the server's address and port to answer from (RFC 5780 §7.2).
    pub change: Option<ChangeRequest>,
    /// RESPONSE-PORT: the port of this host to answer to (RFC 5780 §7.5).
    pub response_port: Option<u16>,
    /// PADDING: number of additional bytes (RFC 5780 §7.6); 0 for none.
    pub padding: u16,
}

/// A Binding success response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// XOR-MAPPED-ADDRESS: this client's address as the server sees it.
    pub mapped: SocketAddr,
    /// MAPPED-ADDRESS, which middleboxes on the path may have rewritten.
    pub plain_mapped: Option<SocketAddr>,
    /// The source address of the answer.
    pub source: SocketAddr,
    /// RESPONSE-ORIGIN: the address that the server claims to have sent from (RFC 5780 §7.3);
    /// SOURCE-ADDRESS of an old server (RFC 3489 §11.2.5).
    pub origin: Option<SocketAddr>,
    /// OTHER-ADDRESS: the server's other address and port (RFC 5780 §7.4); CHANGED-ADDRESS of an
    /// old server (RFC 3489 §11.2.3).
    pub other: Option<SocketAddr>,
    /// SOFTWARE, without control characters.
    pub software: Option<String>,
    /// The time from request to answer; `None` if the request was sent more than once.
    pub round_trip: Option<Duration>,
    /// The number of times that the request was sent.
    pub sent: u32,
}

/// Turns an IPv4-mapped address into IPv4: a server with one socket for both families, or behind a
/// proxy with one, may report it so to an IPv4 client (H54).
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Binding {
    /// Reads a success response; `None` without a mapped address (RFC 8489 §6.3.1 requires
    /// XOR-MAPPED-ADDRESS; a server from RFC 3489's time has only MAPPED-ADDRESS).
    pub(crate) fn read(
        message: &Message<'_>,
        source: SocketAddr,
        round_trip: Option<Duration>,
        sent: u32,
    ) -> Option<Self> {
        let plain_mapped =
            message.attribute::<MappedAddress>().ok().flatten().map(|address| canonical(address.0));
        let mapped = message
            .attribute::<XorMappedAddress>()
            .ok()?
            .map(|address| canonical(address.0))
            .or(plain_mapped)?;
        let software = message.attribute::<Software<'_>>().ok().flatten();
        let origin = message.attribute::<ResponseOrigin>().ok().flatten().map(|address| address.0);
        let source_address =
            || message.attribute::<SourceAddress>().ok().flatten().map(|address| address.0);
        let other = message.attribute::<OtherAddress>().ok().flatten().map(|address| address.0);
        let changed_address =
            || message.attribute::<ChangedAddress>().ok().flatten().map(|address| address.0);
        Some(Self {
            mapped,
            plain_mapped,
            source,
            origin: origin.or_else(source_address),
            other: other.or_else(changed_address),
            software: software
                .map(|software| software.0.chars().filter(|letter| !letter.is_control()).collect()),
            round_trip,
            sent,
        })
    }
}

/// A Binding request with its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedRequest {
    pub(crate) id: BindingId,
    pub(crate) request: BindingRequest,
}

impl Request for NamedRequest {
    fn method(&self) -> Method {
        Method::BINDING
    }

    fn write(&self, writer: &mut MessageWriter<'_>) -> Result<(), EncodeError> {
        if let Some(change) = &self.request.change {
            writer.put(change)?;
        }
        if let Some(port) = self.request.response_port {
            writer.put(&ResponsePort(port))?;
        }
        if self.request.padding > 0 {
            writer.put(&Padding(self.request.padding.into()))?;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.request.padding.into()
    }

    fn answered_from_elsewhere(&self) -> bool {
        self.request.change.is_some_and(|change| change.change_ip || change.change_port)
    }
}
