use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use causeway_wire::attribute::Icmp;
use causeway_wire::{ChannelNumber, ErrorCode, Method};

use crate::failure::Failure;

/// What an Allocate success response tells (RFC 8656 §7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// XOR-RELAYED-ADDRESS: where peers reach this client.
    pub relayed: SocketAddr,
    /// XOR-MAPPED-ADDRESS: this client as the server sees it.
    pub mapped: SocketAddr,
    /// LIFETIME; the client refreshes before it is over.
    pub lifetime: Duration,
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
    /// Data to this peer goes over a channel from now on. Not repeated when the binding is refreshed.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Nothing in particular; what must be kept alive is tried again by itself.
    Nothing,
    /// "The client SHOULD pick another client transport address and retry", up to three times (RFC 8656 §7.4, 437).
    OtherLocalAddress,
    /// Try this server before any other, unless it has been tried within five minutes (RFC 8656 §7.4, 300; RFC 8489 §10).
    OtherServer(SocketAddr),
    /// Ask for no more allocations for so long (RFC 8656 §7.4, 486 and 508).
    Wait(Duration),
    /// Not to be retried "until it believes the problem has been fixed" (RFC 8656 §7.4).
    GiveUp,
    /// Delete the allocation and start afresh: client and server disagree on channels (RFC 8656 §12.3).
    StartAfresh,
}

impl Advice {
    pub(super) fn on(method: Method, failure: &Failure) -> Self {
        let refusal = match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Challenge | Failure::Malformed | Failure::IntegrityViolated | Failure::TooLong => return Self::GiveUp,
            Failure::TimedOut | Failure::Transport => return Self::Nothing,
        };
        match (refusal.code, refusal.alternate) {
            (ErrorCode::TRY_ALTERNATE, Some(server)) => Self::OtherServer(server),
            (ErrorCode::ALLOCATION_MISMATCH, _) if method == Method::ALLOCATE => Self::OtherLocalAddress,
            (ErrorCode::ALLOCATION_QUOTA_REACHED | ErrorCode::INSUFFICIENT_CAPACITY, _) => Self::Wait(Duration::from_secs(60)),
            (ErrorCode::BAD_REQUEST, _) if method == Method::CHANNEL_BIND => Self::StartAfresh,
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
