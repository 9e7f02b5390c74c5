use std::net::SocketAddr;
use std::ops::Range;

use causeway_auth::Refusal;
use causeway_wire::{ErrorCode, Method};

use crate::five_tuple::FiveTuple;
use crate::ids::RelayId;

/// What is to be done with one datagram, at once. It speaks of the datagram by ranges of its bytes,
/// so that nothing is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Send these bytes of the client's datagram from the relayed address to the peer.
    ToPeer {
        /// From where.
        relay: RelayId,
        /// To whom.
        peer: SocketAddr,
        /// First byte of the application's data within the datagram.
        start: usize,
        /// The byte behind it.
        end: usize,
        /// Whether DF is to be set on this one datagram (RFC 8656 §14, RFC 8656 §15).
        dont_fragment: bool,
        /// Whether DSCP and ECN of what came in go along; else both are zero.
        carry_tos: bool,
    },
    /// Put `prefix` in front of the peer's datagram and `padding` zero bytes behind it, and send it
    /// to the client.
    ToClient {
        /// To whom, and from where.
        client: FiveTuple,
        /// ChannelData's header, or a Data indication up to its data.
        prefix: Prefix,
        /// 0 to 3.
        padding: usize,
        /// Whether DSCP and ECN of what came in go along (RFC 8656 §14); a connection has its own
        /// (RFC 8656 §16).
        carry_tos: bool,
    },
    /// Send the Data indication that stands in the caller's buffer: what ICMP said of a peer (RFC
    /// 8656 §11.5).
    Notify {
        /// To whom, and from where.
        client: FiveTuple,
        /// Its length in bytes.
        len: usize,
    },
    /// Send the answer that stands in the caller's buffer.
    Respond(Respond),
    /// Send nothing.
    Discard(Discard),
    /// Nothing yet: an effect has been queued, and the answer follows its completion.
    Later,
}

impl Verdict {
    /// The application's data of a [`Verdict::ToPeer`].
    #[must_use]
    pub fn data(&self) -> Option<Range<usize>> {
        match *self {
            Self::ToPeer { start, end, .. } => Some(start..end),
            _ => None,
        }
    }
}

/// An answer in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Respond {
    /// To whom, and from where.
    pub to: FiveTuple,
    /// Its length in bytes.
    pub len: usize,
    /// The method that it answers.
    pub method: Method,
    /// The error that it carries; `None` is success.
    pub error: Option<ErrorCode>,
    /// Why the request was not let in, where that is the error.
    pub refusal: Option<Refusal>,
}

/// The bytes in front of a peer's data: at most a STUN header, an IPv6 XOR-PEER-ADDRESS and DATA's
/// head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl Prefix {
    /// The headroom that a packet needs.
    pub const MAX_LEN: usize = 48;

    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut prefix = Self { bytes: [0; Self::MAX_LEN], len: bytes.len() as u8 };
        prefix.bytes[..bytes.len()].copy_from_slice(bytes);
        prefix
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

macro_rules! discards {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// Why nothing was sent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Discard {
            $($(#[$doc])* $name,)*
        }

        impl Discard {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name as metrics and logs show it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }
    };
}

discards! {
    /// Neither STUN nor ChannelData (RFC 7983 §7).
    NotStun = "not_stun",
    /// STUN whose frame is broken.
    Malformed = "malformed",
    /// Without the magic cookie: "TURN does not use the backwards-compatibility mechanism" (RFC 8656 §5).
    NoCookie = "no_cookie",
    /// FINGERPRINT is wrong (RFC 8489 §6.3; H28).
    Fingerprint = "fingerprint",
    /// A Binding indication: "The mere receipt of the message by the agent has refreshed the bindings" (RFC 8489 §6.3.2).
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
    /// The policy denies the peer (RFC 8656 §11.2); in any direction, also on a channel, with [`crate::DeniedPeers::Ignore`].
    PeerDenied = "peer_denied",
    /// The peer would be a port of the server's own relay address that relays nothing now (H8).
    NotRelayed = "not_relayed",
    /// The allocation is being made, or is gone.
    NotReady = "not_ready",
    /// ICMP of a type that is not relayed (RFC 8656 §11.5).
    IcmpType = "icmp_type",
    /// Too long to be put into a Data indication.
    TooLong = "too_long",
    /// The user's key is being asked for, and a request of this 5-tuple, or as many as may, wait for keys.
    KeyPending = "key_pending",
    /// The user's key was not to be had.
    KeyUnavailable = "key_unavailable",
    /// Whoever may have been named as the source without its doing has been sent enough (H11).
    RateLimited = "rate_limited",
    /// A client goes on repeating what was refused.
    RefusalsSpent = "refusals_spent",
    /// The answer does not fit into the caller's buffer.
    NoSpace = "no_space",
}
