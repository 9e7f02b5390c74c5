//! Events of an allocation, with the RFC's advice after a failure.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use causeway_wire::attribute::{AddressFamily, AttributeType, Icmp};
use causeway_wire::{ChannelNumber, ErrorCode, Method};

use super::config::RelayPort;
use super::request::TurnRequest;
use crate::failure::{Alternate, Failure};

/// The content of an Allocate success response (RFC 8656 §7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// XOR-RELAYED-ADDRESS: the address at which peers reach this client. Of a dual allocation, the
    /// IPv4 address as long as it exists.
    pub relayed: SocketAddr,
    /// The other XOR-RELAYED-ADDRESS of a dual allocation: the IPv6 address.
    pub additional: Option<SocketAddr>,
    /// ADDRESS-ERROR-CODE: the requested family that the server refused.
    pub rejected: Option<Rejected>,
    /// RESERVATION-TOKEN: the server reserves the next port for a request with this token, for at
    /// least 30 seconds (RFC 8656 §7.2).
    pub reservation: Option<[u8; 8]>,
    /// XOR-MAPPED-ADDRESS: this client's address as the server sees it.
    pub mapped: SocketAddr,
    /// LIFETIME; the client refreshes the allocation before it ends.
    pub lifetime: Duration,
}

impl Allocated {
    /// The relayed address of a family, if there is one.
    #[must_use]
    pub fn relayed_of(&self, family: AddressFamily) -> Option<SocketAddr> {
        [Some(self.relayed), self.additional]
            .into_iter()
            .flatten()
            .find(|relayed| AddressFamily::of(&relayed.ip()) == family)
    }
}

/// The family of a dual allocation that the server refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The refused family.
    pub family: AddressFamily,
    /// The reason: after 440 "the client MUST NOT retry its request for the rejected address type",
    /// after 508 not for a minute (RFC 8656 §7.3).
    pub code: ErrorCode,
}

/// A change of the allocation, its permissions or its channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has made the allocation.
    Allocated(Allocated),
    /// The server has refreshed the allocation.
    Refreshed {
        /// The new lifetime, from now.
        lifetime: Duration,
    },
    /// One relayed address of a dual allocation was deleted, with its permissions and channels; the
    /// other one stays (RFC 8656 §8.1).
    FamilyReleased {
        /// The family of the deleted address.
        family: AddressFamily,
    },
    /// The peer may send and receive data. Not repeated when the permission is refreshed.
    PermissionInstalled {
        /// The peer's IP address; the permission is for all of its ports.
        peer: IpAddr,
    },
    /// The permission has expired, because it could not be refreshed.
    PermissionExpired {
        /// The address of the peer.
        peer: IpAddr,
    },
    /// Data to this peer now goes over a channel. Not repeated when the binding is refreshed.
    ChannelBound {
        /// The address of the peer.
        peer: SocketAddr,
        /// The channel that is bound to it.
        number: ChannelNumber,
    },
    /// The channel has expired: it was released, or could not be refreshed.
    ChannelExpired {
        /// The address of the peer.
        peer: SocketAddr,
    },
    /// A datagram did not reach the peer (RFC 8656 §11.6).
    Unreachable {
        /// The address of the peer.
        peer: SocketAddr,
        /// The ICMP message from a router or from the peer.
        icmp: Icmp,
    },
    /// A request failed.
    Failed {
        /// The method of the request.
        method: Method,
        /// The peer that the request was for; for a permission, the port is 0.
        peer: Option<SocketAddr>,
        /// The reason of the failure.
        failure: Failure,
        /// The action that the RFC recommends.
        advice: Advice,
    },
    /// The allocation is gone, with all permissions and channels.
    Lost(Loss),
    /// The allocation was closed by [`close`](crate::TurnClient::close).
    Closed,
}

/// The action that RFC 8656 recommends after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// No action; the client retries by itself what it has to keep alive.
    Nothing,
    /// "The client SHOULD pick another client transport address and retry", up to three times (RFC
    /// 8656 §7.4, 437).
    OtherLocalAddress,
    /// Try this server before any other, over the same transport and with the same credentials,
    /// unless it was tried within the last five minutes: see [`Redirections`](crate::Redirections)
    /// (RFC 8656 §7.4, 300; RFC 8489 §10).
    OtherServer(Alternate),
    /// Try again without DONT-FRAGMENT, which the server does not know (RFC 8656 §7.4, 420).
    WithoutDontFragment,
    /// Try again at once without EVEN-PORT or RESERVATION-TOKEN (RFC 8656 §7.4, 508).
    AnyPort,
    /// Request no more allocations for this time (RFC 8656 §7.4, 486 and 508).
    Wait(Duration),
    /// Do not retry "until it believes the problem has been fixed" (RFC 8656 §7.4).
    GiveUp,
    /// Delete the allocation and start again: client and server disagree about channels (RFC 8656
    /// §12.3).
    StartAfresh,
}

impl Advice {
    pub(super) fn on(request: &TurnRequest, failure: &Failure) -> Self {
        let refusal = match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Challenge
            | Failure::Malformed
            | Failure::IntegrityViolated
            | Failure::TooLong => return Self::GiveUp,
            Failure::TimedOut | Failure::Transport => return Self::Nothing,
        };
        match (refusal.code, request) {
            (ErrorCode::TRY_ALTERNATE, _) => {
                refusal.alternate.clone().map_or(Self::GiveUp, Self::OtherServer)
            }
            (ErrorCode::ALLOCATION_MISMATCH, TurnRequest::Allocate(_)) => Self::OtherLocalAddress,
            (ErrorCode::UNKNOWN_ATTRIBUTE, TurnRequest::Allocate(request))
                if request.dont_fragment
                    && refusal.unknown.contains(&AttributeType::DONT_FRAGMENT) =>
            {
                Self::WithoutDontFragment
            }
            (ErrorCode::INSUFFICIENT_CAPACITY, TurnRequest::Allocate(request))
                if request.port != RelayPort::Any =>
            {
                Self::AnyPort
            }
            (ErrorCode::ALLOCATION_QUOTA_REACHED | ErrorCode::INSUFFICIENT_CAPACITY, _) => {
                Self::Wait(Duration::from_secs(60))
            }
            (ErrorCode::BAD_REQUEST, TurnRequest::ChannelBind { .. }) => Self::StartAfresh,
            _ => Self::GiveUp,
        }
    }
}

/// Why the allocation was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It could not be refreshed in time.
    Expired,
    /// The server does not know it: 437 (RFC 8656 §8.3).
    Mismatch,
    /// The connection to the server failed.
    Transport,
}
