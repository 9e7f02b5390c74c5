//! Refusals that the loop makes without asking its service, and that an operator may have to act on
//! (H57).

use std::net::SocketAddr;

use crate::proxy;
use crate::secure::Failure;

/// Something that was refused, for [`Service::rejected`](super::Service::rejected).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The sender: the client, or the proxy whose header could not be taken.
    pub source: SocketAddr,
    /// The server's address that it was sent to.
    pub local: SocketAddr,
    /// The reason.
    pub reason: RejectionReason,
}

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionReason {
    /// A trusted proxy sent something else than a header of version 2.
    ProxyHeader(proxy::Fault),
    /// A trusted proxy closed the connection in the middle of its header.
    ProxyHeaderCutShort,
    /// A trusted proxy did not send its whole header in time.
    ProxyHeaderSlow,
    /// A PROXY header came from an address that is not trusted to send one.
    ProxyUntrusted,
    /// A TLS or DTLS handshake failed: the client's bytes were wrong, or the two have nothing in
    /// common. The words are the program's.
    Handshake(&'static str),
    /// The client ended a TLS or DTLS handshake with this fatal alert.
    Alert(&'static str),
    /// Too many handshakes are under way: in all, or of the client's prefix.
    HalfOpen,
    /// More DTLS handshakes began in a second than the rate allows.
    HandshakeRate,
    /// The handshaker's mailbox is full.
    HandshakerBusy,
}

impl RejectionReason {
    /// `None` for clients that went away or were slow: that is no reason to act.
    pub(super) fn of(failure: Failure) -> Option<Self> {
        match failure {
            Failure::Refused(words) => Some(Self::Handshake(words)),
            Failure::Alert(alert) => Some(Self::Alert(alert)),
            Failure::HalfOpen => Some(Self::HalfOpen),
            Failure::Rate => Some(Self::HandshakeRate),
            Failure::Busy => Some(Self::HandshakerBusy),
            Failure::Slow | Failure::Gone => None,
        }
    }
}
