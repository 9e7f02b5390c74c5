//! The answers to inputs. Each input has an answer of its own, so that no caller has to handle one
//! that cannot occur. None of them owns or copies the bytes of a datagram.

use std::ops::Range;

use causeway_auth::Refusal;
use causeway_wire::{ErrorCode, Method};

use crate::address::PeerAddress;
use crate::five_tuple::FiveTuple;
use crate::ids::RelayId;
use crate::reason::reasons;

/// The answer to a message from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum ClientVerdict {
    /// It carries application data: relay them.
    ToPeer(ToPeer),
    /// It is a request, or nothing that may be relayed.
    Reply(Reply),
}

/// The answer to a request, given at once or after a completion or a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reply {
    /// Send the response that stands in the caller's buffer.
    Respond(Respond),
    /// Send nothing now. A queued effect has to complete first, or there is no request to answer.
    Later,
    /// Send nothing, and count why.
    Discard(Discard),
}

/// Send bytes of the client's message from the relayed address to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ToPeer {
    /// The relayed address to send from.
    pub relay: RelayId,
    /// The address to send to.
    pub peer: PeerAddress,
    /// The first byte of the application data, and the one behind them.
    pub(crate) data: (u32, u32),
    /// Whether to set DF on this one datagram (RFC 8656 §14, RFC 8656 §15).
    pub dont_fragment: bool,
    /// Whether DSCP and ECN of the client's datagram are copied; otherwise both are zero.
    pub carry_tos: bool,
}

/// Put `prefix` in front of the peer's datagram and `padding` zero bytes behind it, and send it to
/// the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ToClient {
    /// The client, with the server's address and the transport to send by.
    pub client: FiveTuple,
    /// The header of ChannelData, or a Data indication up to its data.
    pub prefix: Prefix,
    /// 0 to 3 bytes.
    pub padding: u8,
    /// Whether DSCP and ECN of the peer's datagram are copied (RFC 8656 §14); a connection has its
    /// own (RFC 8656 §16).
    pub carry_tos: bool,
}

/// Send the Data indication that stands in the caller's buffer: an ICMP error of a peer (RFC 8656
/// §11.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Notify {
    /// The client, with the server's address and the transport to send by.
    pub client: FiveTuple,
    /// The length of the indication in bytes.
    pub len: usize,
}

/// A response in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Respond {
    /// The client, with the server's address and the transport to send by.
    pub to: FiveTuple,
    /// The length of the response in bytes.
    pub len: usize,
    /// The method of the request.
    pub method: Method,
    /// The error code of the response; `None` in a success response.
    pub error: Option<ErrorCode>,
    /// Why authentication refused the request, if it did.
    pub refusal: Option<Refusal>,
}

// These are returned by value for each datagram. A relayed one fits into a cache line.
const _: () = assert!(size_of::<ToPeer>() <= 64);
const _: () = assert!(size_of::<ClientVerdict>() <= 96);
const _: () = assert!(size_of::<Result<ToClient, Discard>>() <= 120);

impl ToPeer {
    /// The application data within the client's message.
    #[must_use]
    #[inline]
    pub fn data(&self) -> Range<usize> {
        self.data.0 as usize..self.data.1 as usize
    }
}

impl ClientVerdict {
    /// The response, if there is one to send now.
    #[must_use]
    pub fn respond(&self) -> Option<&Respond> {
        match self {
            Self::Reply(Reply::Respond(respond)) => Some(respond),
            Self::Reply(_) | Self::ToPeer(_) => None,
        }
    }

    /// Why nothing is sent, if nothing is.
    #[must_use]
    pub fn discard(&self) -> Option<Discard> {
        match self {
            Self::Reply(Reply::Discard(discard)) => Some(*discard),
            Self::Reply(_) | Self::ToPeer(_) => None,
        }
    }
}

impl From<Reply> for ClientVerdict {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl From<Discard> for ClientVerdict {
    fn from(discard: Discard) -> Self {
        Self::Reply(Reply::Discard(discard))
    }
}

impl From<Result<ToPeer, Discard>> for ClientVerdict {
    #[inline]
    fn from(relayed: Result<ToPeer, Discard>) -> Self {
        relayed.map_or_else(Self::from, Self::ToPeer)
    }
}

/// The bytes in front of a peer's data: at most a STUN header, an IPv6 XOR-PEER-ADDRESS and the
/// header of DATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl Prefix {
    /// Maximum length: the headroom that a packet needs.
    pub const MAX_LEN: usize = 48;

    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut prefix = Self { bytes: [0; Self::MAX_LEN], len: bytes.len() as u8 };
        prefix.bytes[..bytes.len()].copy_from_slice(bytes);
        prefix
    }

    /// The bytes to put in front of the data.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

reasons! {
    /// Why nothing was sent.
    pub enum Discard {
        /// Neither STUN nor ChannelData (RFC 7983 §7).
        NotStun = "not_stun",
        /// STUN that cannot be decoded.
        Malformed = "malformed",
        /// STUN without the magic cookie: "TURN does not use the backwards-compatibility mechanism"
        /// (RFC 8656 §5).
        NoCookie = "no_cookie",
        /// FINGERPRINT is wrong (RFC 8489 §6.3; H28).
        Fingerprint = "fingerprint",
        /// A Binding indication: "The mere receipt of the message by the agent has refreshed the
        /// bindings" (RFC 8489 §6.3.2).
        Keepalive = "keepalive",
        /// A method, or a class for the method, that a server does not take (RFC 8489 §6.3).
        Unsupported = "unsupported",
        /// An indication with an unknown comprehension-required attribute (RFC 8489 §6.3.2).
        UnknownAttribute = "unknown_attribute",
        /// A Send indication without, or with an invalid, XOR-PEER-ADDRESS or DATA (RFC 8656 §11.2).
        MissingAttribute = "missing_attribute",
        /// Data on a 5-tuple without an allocation (RFC 8656 §5).
        NoAllocation = "no_allocation",
        /// A channel number of the reserved range (RFC 8656 §12.6).
        ReservedChannel = "reserved_channel",
        /// ChannelData that is shorter than it says (RFC 8656 §12.6).
        TruncatedChannelData = "truncated_channel_data",
        /// ChannelData on a channel that is not bound (RFC 8656 §12.6).
        NoChannel = "no_channel",
        /// No permission for the peer (RFC 8656 §11.2, §11.3).
        NoPermission = "no_permission",
        /// The peer's family is not the relayed address's.
        PeerFamily = "peer_family",
        /// The policy denies the peer (RFC 8656 §11.2). With [`crate::DeniedPeers::Ignore`] in both
        /// directions, and on a channel, too.
        PeerDenied = "peer_denied",
        /// The peer is a port of this server's relay address that relays nothing now (H8).
        NotRelayed = "not_relayed",
        /// The allocation is still being made, or has ended.
        NotReady = "not_ready",
        /// ICMP of a type that is not relayed (RFC 8656 §11.5).
        IcmpType = "icmp_type",
        /// Too long to be put into a Data indication.
        TooLong = "too_long",
        /// The request needs a key that is being asked for, and no more requests may wait.
        KeyPending = "key_pending",
        /// The source of keys did not answer in time.
        KeyUnavailable = "key_unavailable",
        /// The source address may be forged, and has been sent its share (H11).
        RateLimited = "rate_limited",
        /// The client keeps repeating a refused request.
        RefusalsSpent = "refusals_spent",
        /// The response does not fit into the caller's buffer.
        NoSpace = "no_space",
    }
}
