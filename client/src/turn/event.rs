use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use causeway_wire::attribute::{AddressFamily, AttributeType, Icmp};
use causeway_wire::{ChannelNumber, ErrorCode, Method};

use super::ask::TurnAsk;
use super::config::RelayPort;
use crate::failure::{Alternate, Failure};

/// What an Allocate success response tells (RFC 8656 §7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// XOR-RELAYED-ADDRESS: where peers reach this client. Of a dual allocation the one of IPv4,
    /// as long as there is one.
    pub relayed: SocketAddr,
    /// The other XOR-RELAYED-ADDRESS of a dual allocation: the one of IPv6.
    pub additional: Option<SocketAddr>,
    /// ADDRESS-ERROR-CODE: the family that was asked for and is not to be had.
    pub rejected: Option<Rejected>,
    /// RESERVATION-TOKEN: the next port is kept for whoever shows it, for at least 30 seconds (RFC
    /// 8656 §7.2).
    pub reservation: Option<[u8; 8]>,
    /// XOR-MAPPED-ADDRESS: this client as the server sees it.
    pub mapped: SocketAddr,
    /// LIFETIME; the client refreshes before it is over.
    pub lifetime: Duration,
}

impl Allocated {
    /// The relayed address of a family.
    #[must_use]
    pub fn relayed_of(&self, family: AddressFamily) -> Option<SocketAddr> {
        [Some(self.relayed), self.additional]
            .into_iter()
            .flatten()
            .find(|relayed| AddressFamily::of(&relayed.ip()) == family)
    }
}

/// One of the families of a dual allocation that the server refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Which.
    pub family: AddressFamily,
    /// Why: after 440 "the client MUST NOT retry its request for the rejected address type", after
    /// 508 not for a minute (RFC 8656 §7.3).
    pub code: ErrorCode,
}

/// What has happened to the allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is an allocation.
    Allocated(Allocated),
    /// It lasts for so long from now.
    Refreshed {
        /// LIFETIME.
        lifetime: Duration,
    },
    /// One relayed address of a dual allocation is deleted, with its permissions and channels; the
    /// other one stays (RFC 8656 §8.1).
    FamilyReleased {
        /// Its family.
        family: AddressFamily,
    },
    /// The peer may send, and be sent to. Not repeated when the permission is refreshed.
    PermissionInstalled {
        /// The peer, any port.
        peer: IpAddr,
    },
    /// The permission is over: it could not be refreshed.
    PermissionExpired {
        /// The peer.
        peer: IpAddr,
    },
    /// Data to this peer goes over a channel from now on. Not repeated when the binding is
    /// refreshed.
    ChannelBound {
        /// The peer.
        peer: SocketAddr,
        /// Its channel.
        number: ChannelNumber,
    },
    /// The channel is over: it was released, or could not be refreshed.
    ChannelExpired {
        /// The peer.
        peer: SocketAddr,
    },
    /// A datagram did not reach the peer (RFC 8656 §11.6).
    Unreachable {
        /// The peer.
        peer: SocketAddr,
        /// What a router or the peer said.
        icmp: Icmp,
    },
    /// A request came to nothing.
    Failed {
        /// Which method.
        method: Method,
        /// The peer that it was for; of a permission, without a port.
        peer: Option<SocketAddr>,
        /// Why.
        failure: Failure,
        /// What to do now.
        advice: Advice,
    },
    /// There was an allocation, and is none any more, nor permissions, nor channels.
    Lost(Loss),
    /// [`close`](crate::TurnClient::close) is done.
    Closed,
}

/// What the RFC recommends after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Nothing in particular; what must be kept alive is tried again by itself.
    Nothing,
    /// "The client SHOULD pick another client transport address and retry", up to three times (RFC
    /// 8656 §7.4, 437).
    OtherLocalAddress,
    /// Try this server before any other, over the same transport and with the same credentials,
    /// unless it has been tried within five minutes: see [`Redirections`](crate::Redirections)
    /// (RFC 8656 §7.4, 300; RFC 8489 §10).
    OtherServer(Alternate),
    /// Try again without DONT-FRAGMENT, which the server does not know (RFC 8656 §7.4, 420).
    WithoutDontFragment,
    /// Try again at once without EVEN-PORT or RESERVATION-TOKEN (RFC 8656 §7.4, 508).
    AnyPort,
    /// Ask for no more allocations for so long (RFC 8656 §7.4, 486 and 508).
    Wait(Duration),
    /// Not to be retried "until it believes the problem has been fixed" (RFC 8656 §7.4).
    GiveUp,
    /// Delete the allocation and start afresh: client and server disagree on channels (RFC 8656
    /// §12.3).
    StartAfresh,
}

impl Advice {
    pub(super) fn on(ask: &TurnAsk, failure: &Failure) -> Self {
        let refusal = match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Challenge
            | Failure::Malformed
            | Failure::IntegrityViolated
            | Failure::TooLong => return Self::GiveUp,
            Failure::TimedOut | Failure::Transport => return Self::Nothing,
        };
        match (refusal.code, ask) {
            (ErrorCode::TRY_ALTERNATE, _) => {
                refusal.alternate.clone().map_or(Self::GiveUp, Self::OtherServer)
            }
            (ErrorCode::ALLOCATION_MISMATCH, TurnAsk::Allocate(_)) => Self::OtherLocalAddress,
            (ErrorCode::UNKNOWN_ATTRIBUTE, TurnAsk::Allocate(ask))
                if ask.dont_fragment && refusal.unknown.contains(&AttributeType::DONT_FRAGMENT) =>
            {
                Self::WithoutDontFragment
            }
            (ErrorCode::INSUFFICIENT_CAPACITY, TurnAsk::Allocate(ask))
                if ask.port != RelayPort::Any =>
            {
                Self::AnyPort
            }
            (ErrorCode::ALLOCATION_QUOTA_REACHED | ErrorCode::INSUFFICIENT_CAPACITY, _) => {
                Self::Wait(Duration::from_secs(60))
            }
            (ErrorCode::BAD_REQUEST, TurnAsk::ChannelBind { .. }) => Self::StartAfresh,
            _ => Self::GiveUp,
        }
    }
}

/// Why the allocation is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It could not be refreshed in time.
    Expired,
    /// The server does not know it: 437 (RFC 8656 §8.3).
    Mismatch,
    /// The connection to the server failed.
    Transport,
}
